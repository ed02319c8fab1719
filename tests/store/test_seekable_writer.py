"""The seekable writer: through a temporary file, for libraries that seek."""

import io
import os
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from resultstore import BlobStoreUnavailable, Refused, Settings, Store, TooLarge, connect
from resultstore.store.attempt import Attempt, running


def open_files() -> list[str]:
    """Return the unnamed temporary files that this process has open."""
    links: list[str] = []
    for one in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the folder's own number is closed by now
            links.append(str(one.readlink()))
    return sorted(one for one in links if one.endswith("(deleted)"))


def test_library_may_seek_back_and_overwrite(store: Store):
    before = open_files()

    with store.writer(name="a.bin", seekable=True) as out:
        out.write(b"....56789")
        out.seek(0)
        out.write(b"0123")
        assert out.read(2) == b"56"

    assert store.open(out.artifact).read() == b"012356789"
    assert open_files() == before


def test_tiff_and_hdf5_are_written(store: Store):
    picture, numbers = Image.new("RGB", (70, 40), "red"), np.arange(1_000)
    with store.writer(name="a.tiff", seekable=True) as out:
        picture.save(out, format="TIFF", compression="tiff_lzw")
    with store.writer(name="a.h5", seekable=True) as data, h5py.File(data, "w") as file:
        file["numbers"] = numbers

    assert Image.open(store.open(out.artifact)).size == (70, 40)
    assert (out.artifact.media_type, data.artifact.media_type) == ("image/tiff", "application/x-hdf5")
    with h5py.File(store.open(data.artifact)) as file:
        assert (file["numbers"][:] == numbers).all()


def test_array_is_written_by_the_file_number(store: Store):
    numbers = np.arange(100_000, dtype="<i4")

    with store.writer(name="numbers.raw", seekable=True) as out:
        out.write(b"head")
        numbers.tofile(out)

    assert store.open(out.artifact).read() == b"head" + numbers.tobytes()


def test_error_in_the_block_stores_nothing(store: Store, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = open_files()

    with pytest.raises(ZeroDivisionError), store.writer(name="a.bin", seekable=True) as out:
        out.write(b"x" * 3_000_000)
        raise ZeroDivisionError

    assert list(store.blobs.list("")) == []
    assert open_files() == before
    assert list(tmp_path.iterdir()) in ([], [tmp_path / "blobs"])
    with pytest.raises(ValueError, match="closed"):
        out.write(b"x")
        out.flush()


def test_failed_upload_frees_the_file(store: Store):
    def refuse(*_: object, **__: object):
        raise BlobStoreUnavailable("refused")

    store.blobs.put = refuse
    before = open_files()

    with pytest.raises(BlobStoreUnavailable, match="refused"), store.writer(name="a.bin", seekable=True) as out:
        out.write(b"x")

    assert open_files() == before
    with pytest.raises(Refused, match="after the block"):
        _ = out.artifact


@pytest.mark.parametrize("way", ["write", "truncate", "number"])
def test_temporary_file_is_bounded(way: str):
    store = connect(Settings(index_url="memory://", blobs_url="memory://", temp_file_max_bytes=1_000_000))
    before = open_files()

    def fill() -> None:
        with store.writer(name="a.bin", seekable=True) as out:
            if way == "write":
                for _ in range(2_000):
                    out.write(b"x" * 1_000)
            elif way == "truncate":
                out.truncate(1_000_001)
            else:
                os.write(out.fileno(), b"x" * 1_000_001)

    with pytest.raises(TooLarge, match="RESULTSTORE_TEMP_FILE_MAX_BYTES"):
        fill()

    assert open_files() == before
    assert list(store.blobs.list("")) == []


def test_seekable_output_belongs_to_the_running_task(store: Store):
    with running(Attempt("job")) as attempt, store.writer(name="a.bin", seekable=True) as out:
        io.TextIOWrapper(out, "utf-8", write_through=True).write("text")

    assert attempt.artifacts == (out.artifact,)
    assert store.open(out.artifact).read() == b"text"
