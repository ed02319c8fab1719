"""The writer: a write-only file whose bytes stream into the store."""

import csv
import io
import threading
import zipfile

import pytest

from resultstore import BlobStoreUnavailable, Refused, Store


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("resultstore-writer")}


def test_any_pieces_come_back_whole(store: Store):
    pieces = [b"", b"a", b"b" * 3_000_000, memoryview(b"c" * 700_000), bytearray(b"d")]

    with store.writer(name="pieces.bin") as out:
        for piece in pieces:
            out.write(piece)
        assert out.tell() == sum(len(piece) for piece in pieces)

    assert store.open(out.artifact).read() == b"".join(bytes(piece) for piece in pieces)
    assert threads() == set()


def test_a_zip_is_written_straight_into_the_store(store: Store):
    with store.writer(name="many.zip") as out, zipfile.ZipFile(out, "w") as archive:
        archive.writestr("inside.txt", b"x" * 2_000_000)

    with zipfile.ZipFile(store.open(out.artifact)) as archive:
        assert archive.read("inside.txt") == b"x" * 2_000_000


def test_closing_the_file_does_not_end_the_upload(store: Store):
    with store.writer(name="rows.csv") as out:
        text = io.TextIOWrapper(out, encoding="utf-8")  # type: ignore[type-var]
        csv.writer(text).writerow(["a", "b"])
        text.close()
        out.write(b"c,d\r\n")

    assert store.open(out.artifact).read() == b"a,b\r\nc,d\r\n"


def test_an_exception_in_the_block_leaves_nothing_behind(store: Store):
    with pytest.raises(ZeroDivisionError), store.writer(name="broken.bin") as out:
        out.write(b"x" * 5_000_000)
        raise ZeroDivisionError

    assert list(store.blobs.list("")) == []
    assert threads() == set()


def test_failed_upload_raises_in_the_writer(store: Store):
    def refuse(*_: object, **__: object):
        raise BlobStoreUnavailable("refused")

    store.blobs.put = refuse

    with pytest.raises(BlobStoreUnavailable, match="refused"), store.writer(name="x.bin") as out:
        for _ in range(100):
            out.write(b"x" * 1_000_000)

    assert threads() == set()


def test_artifact_exists_only_after_the_block(store: Store):
    with store.writer(name="x.bin") as out, pytest.raises(Refused, match="with"):
        _ = out.artifact

    assert out.artifact.size_bytes == 0


def test_writing_after_the_end_is_refused(store: Store):
    with store.writer(name="x.bin") as out:
        out.write(b"x")

    with pytest.raises(ValueError, match="closed"):
        out.write(b"y")
