"""LocalBlobs: each key is a file below the folder, written once, and no key leads out of it."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from resultstore.blobs.local.driver import LocalBlobs
from resultstore.model.errors import BadReference
from tests.blobs.local.folder import KEY, MIB, files, put


def test_blob_is_a_file_named_by_its_key(root):
    put(LocalBlobs(root), KEY, b"hello")

    assert files(root) == [KEY]
    assert (root / KEY).read_bytes() == b"hello"


def test_first_write_makes_the_folder(root):
    blobs = LocalBlobs(root)

    assert list(blobs.list("")) == []
    blobs.delete([KEY])
    assert not root.exists()


def test_a_change_of_the_working_directory_moves_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blobs = LocalBlobs(Path("here"))
    (tmp_path / "elsewhere").mkdir()

    monkeypatch.chdir(tmp_path / "elsewhere")
    put(blobs, KEY, b"x")

    assert files(tmp_path) == [f"here/{KEY}"]


def test_a_key_is_written_once(root):
    blobs = LocalBlobs(root)
    first = put(blobs, KEY, b"first")

    with pytest.raises(BadReference, match=KEY):
        put(blobs, KEY, b"second")

    assert blobs.stat(KEY) == first
    assert files(root) == [KEY]


def test_one_of_many_writers_wins_whole(root):
    blobs = LocalBlobs(root)
    gate = threading.Barrier(8)

    def write(n):
        gate.wait(30)
        with suppress(BadReference):
            return put(blobs, KEY, bytes([n]) * MIB, bytes([n]) * 5)
        return None

    with ThreadPoolExecutor(8) as pool:
        winners = [stored for stored in pool.map(write, range(8)) if stored]

    assert len(winners) == 1
    assert blobs.stat(KEY) == winners[0]
    assert len(set((root / KEY).read_bytes())) == 1


def test_what_is_hidden_is_never_listed_or_read(root):
    blobs = LocalBlobs(root)
    put(blobs, KEY, b"x")
    (root / ".secret").write_bytes(b"secret")
    (root / ".drafts" / "half").write_bytes(b"half")
    (root / "blobs" / ".hidden").write_bytes(b"hidden")

    assert [stored.key for stored in blobs.list("")] == [KEY]
    for prefix in (".", ".drafts/", ".secret", "blobs/."):
        assert list(blobs.list(prefix)) == []
    for key in (".secret", ".drafts/half", "blobs/.hidden"):
        with pytest.raises(BadReference):
            blobs.get(key)


def test_no_key_or_prefix_leaves_the_folder(root, tmp_path):
    blobs = LocalBlobs(root)
    put(blobs, KEY, b"x")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_bytes(b"x")

    for way_out in ("../outside/file", f"{tmp_path}/outside/file", "blobs/../../outside/file"):
        with pytest.raises(BadReference):
            blobs.stat(way_out)
        assert list(blobs.list(way_out)) == []


def test_key_that_begins_another_is_refused(root):
    blobs = LocalBlobs(root)
    put(blobs, "a/b", b"x")

    for key in ("a/b/c", "a/b/c/d"):
        with pytest.raises(BadReference, match="is a blob and cannot be a folder"):
            put(blobs, key, b"y")

    assert files(root) == ["a/b"]


def test_deleting_leaves_no_empty_folder(root):
    blobs = LocalBlobs(root)
    put(blobs, "blobs/30d/ab/id-1/x.0", b"x")
    put(blobs, "blobs/30d/ab/id-2/x.0", b"x")

    blobs.delete(["blobs/30d/ab/id-1/x.0"])
    assert sorted(path.name for path in (root / "blobs/30d/ab").iterdir()) == ["id-2"]
    blobs.delete(["blobs/30d/ab/id-2/x.0"])

    assert sorted(path.name for path in root.iterdir()) == [".drafts"]


def test_delete_of_its_folder_disturbs_no_writer(root):
    writer, over = LocalBlobs(root), threading.Event()

    def keep_deleting():
        rounds = 0
        while not over.is_set():
            put(LocalBlobs(root), f"a/b/c/{rounds}", b"x")
            LocalBlobs(root).delete([f"a/b/c/{rounds}"])
            rounds += 1
        return rounds

    with ThreadPoolExecutor(1) as pool:
        deleting = pool.submit(keep_deleting)
        for n in range(300):
            put(writer, f"a/b/c/mine-{n}", b"x")
            writer.delete([f"a/b/c/mine-{n}"])
        over.set()

        assert deleting.result(30) > 50


def test_reader_keeps_its_bytes_after_a_delete(root):
    blobs = LocalBlobs(root)
    body = os.urandom(3 * MIB)
    put(blobs, KEY, body)
    reader = blobs.get(KEY)
    first = next(reader)

    blobs.delete([KEY])

    assert first + b"".join(reader) == body
