"""LocalBlobs: files are for their owner, or by a setting for their group."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from resultstore import Settings
from resultstore.connect import connect


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def _umask(request) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def modes(root: Path) -> tuple[set[int], set[int]]:
    """The modes of all files and of all folders below `root`, itself included."""
    found = [root, *root.rglob("*")]
    files = {stat.S_IMODE(one.stat().st_mode) for one in found if one.is_file()}
    return files, {stat.S_IMODE(one.stat().st_mode) for one in found if one.is_dir()}


def filled(root: Path, **settings) -> Path:
    store = connect(Settings(index_url="memory://", blobs_url=root.as_uri(), **settings))
    store.put(b"hello" * 1000, name="a.txt", id="one", compress=True)
    blobs = store.blobs
    upload_id = blobs.begin_parts("uploads/1d/00/x/y", media_type="x/y")
    blobs.put_part("uploads/1d/00/x/y", upload_id=upload_id, number=1, chunks=[b"part"])
    return root


@pytest.mark.usefixtures("_umask")
def test_blobs_in_a_folder_are_for_their_owner(tmp_path):
    assert modes(filled(tmp_path / "above" / "blobs")) == ({0o600}, {0o700})


@pytest.mark.usefixtures("_umask")
def test_folder_blobs_may_be_for_a_group(tmp_path):
    root = filled(tmp_path / "blobs", blobs_for_group=True, secret_key="k" * 32)

    assert modes(root) == ({0o660}, {0o770})


def test_a_folder_that_exists_keeps_its_mode(tmp_path):
    root = tmp_path / "blobs"
    root.mkdir()
    root.chmod(0o755)

    filled(root)

    assert stat.S_IMODE(root.stat().st_mode) == 0o755
    assert modes(root / "blobs") == ({0o600}, {0o700})
