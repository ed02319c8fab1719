"""What goes in comes out, verified, however it went in."""

import hashlib
import io
import os
import threading
from pathlib import Path

import pytest

from resultstore import BadInput, BadReference, ChecksumMismatch, Misconfigured, Settings, Store, WrongType, connect
from resultstore.model import layout

MIB = 1 << 20
CONTENT = os.urandom(3 * MIB + 4321)
TEXT = b"".join(b"%d,some,text\n" % n for n in range(200_000))


def chunks_of(content: bytes, size_bytes: int = 70_001):
    for at in range(0, len(content), size_bytes):
        yield content[at : at + size_bytes]


@pytest.mark.parametrize("form", ["bytes", "memoryview", "path", "file", "pipe", "generator", "list"])
def test_every_source_comes_back_byte_for_byte(store: Store, tmp_path: Path, form: str):
    # given
    path = tmp_path / "picture.png"
    path.write_bytes(CONTENT)
    read_end, write_end = os.pipe()
    sources = {
        "bytes": lambda: CONTENT,
        "memoryview": lambda: memoryview(CONTENT),
        "path": lambda: path,
        "file": lambda: path.open("rb"),
        "pipe": lambda: os.fdopen(read_end, "rb"),
        "generator": lambda: chunks_of(CONTENT),
        "list": lambda: [CONTENT[:5], CONTENT[5:]],
    }

    def fill() -> None:
        with os.fdopen(write_end, "wb") as pipe:
            pipe.write(CONTENT)

    filler = threading.Thread(target=fill)
    if form == "pipe":
        filler.start()
    else:
        os.close(read_end)
        os.close(write_end)

    # when
    artifact = store.put(sources[form]())

    # then
    if form == "pipe":
        filler.join()
    assert store.open(artifact).read() == CONTENT
    assert artifact.size_bytes == len(CONTENT)
    assert artifact.sha256 == hashlib.sha256(CONTENT).hexdigest()
    if form == "path":
        assert (artifact.name, artifact.file_name, artifact.media_type) == ("picture.png", "picture.png", "image/png")


@pytest.mark.parametrize("size_bytes", [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB])
@pytest.mark.parametrize("compress", [False, True])
def test_every_length_around_a_block_comes_back(store: Store, size_bytes: int, compress: bool):
    artifact = store.put(CONTENT[:size_bytes], compress=compress)

    assert store.open(artifact).read() == CONTENT[:size_bytes]


@pytest.mark.parametrize("compress", [False, True])
def test_ranges_come_back_right_wherever_they_begin(store: Store, compress: bool):
    artifact = store.put(TEXT, name="table.csv", compress=compress)

    with store.open(artifact) as content:
        for start, size_bytes in [(0, 10), (MIB - 3, 7), (2 * MIB + 5, 3), (len(TEXT) - 4, 100), (5, 2 * MIB), (0, 1)]:
            content.seek(start)
            assert content.read(size_bytes) == TEXT[start : start + size_bytes]
        assert content.seek(-3, io.SEEK_END) == len(TEXT) - 3
        assert content.read() == TEXT[-3:]


def test_a_compressed_artifact_is_smaller_and_says_so(store: Store):
    artifact = store.put(TEXT, name="table.csv", compress=True)

    assert artifact.encoding == "zstd"
    assert artifact.stored_bytes < artifact.size_bytes / 2
    assert artifact.sha256 == hashlib.sha256(TEXT).hexdigest()


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("at", [0, MIB + 17, -1])
def test_flipped_bit_is_always_an_error(tmp_path: Path, compress: bool, at: int):
    # given
    store = connect(Settings(index_url="memory://", blobs_url=f"file://{tmp_path}", secret_key="k" * 32))
    artifact = store.put(CONTENT, compress=compress)
    blob = tmp_path / artifact.key
    damaged = bytearray(blob.read_bytes())
    damaged[at] ^= 1
    blob.chmod(0o600)
    blob.write_bytes(damaged)

    # when
    with store.open(artifact) as content, pytest.raises(ChecksumMismatch) as told:
        content.seek(at % len(damaged) if not compress else 0)
        content.read()

    # then
    assert artifact.id in str(told.value)


def test_damaged_range_is_refused_before_the_seal(tmp_path: Path):
    """A part of a running attempt has no seal yet: the whole is verified once, then the range is served."""
    store = connect(Settings(index_url="memory://", blobs_url=f"file://{tmp_path}", secret_key="k" * 32))
    artifact = store.put(CONTENT)
    store.blobs.delete([layout.seal_key(artifact.id)])
    with store.open(artifact) as content:
        content.seek(MIB)
        assert content.read(10) == CONTENT[MIB : MIB + 10]

    blob = tmp_path / artifact.key
    damaged = bytearray(blob.read_bytes())
    damaged[5] ^= 1
    blob.chmod(0o600)
    blob.write_bytes(damaged)

    with store.open(artifact) as content, pytest.raises(ChecksumMismatch):
        content.seek(MIB)
        content.read(10)


def test_a_truncated_blob_is_an_error(tmp_path: Path):
    store = connect(Settings(index_url="memory://", blobs_url=f"file://{tmp_path}", secret_key="k" * 32))
    artifact = store.put(CONTENT)
    blob = tmp_path / artifact.key
    blob.chmod(0o600)
    os.truncate(blob, 2 * MIB)

    with store.open(artifact) as content, pytest.raises(ChecksumMismatch):
        content.read()


def test_text_is_refused_with_the_way_out(store: Store):
    with pytest.raises(WrongType, match="bytes"):
        store.put("text")  # type: ignore[arg-type]
    with pytest.raises(WrongType, match="encode"):
        store.put(["text"])  # type: ignore[list-item]


def test_missing_path_is_bad_input(store: Store, tmp_path: Path):
    with pytest.raises(BadInput, match=r"missing\.bin"):
        store.put(tmp_path / "missing.bin")


@pytest.mark.parametrize("name", ["a/b", "..", "x" * 256, "a\nb", "back\\slash", "\x00"])
def test_name_unfit_for_urls_is_refused(store: Store, name: str):
    with pytest.raises(BadReference):
        store.put(b"x", name=name)


def test_unknown_retention_lists_the_known_ones(store: Store):
    with pytest.raises(BadReference, match="30d"):
        store.put(b"x", retention="2w")


def test_put_without_object_store_names_the_setting():
    store = connect(Settings(index_url="memory://", blobs_url=""))

    with pytest.raises(Misconfigured, match="RESULTSTORE_BLOBS_URL"):
        store.put(b"x")


def test_failing_producer_leaves_nothing_and_raises(store: Store):
    def failing():
        yield CONTENT
        raise ZeroDivisionError("the producer's own")

    with pytest.raises(ZeroDivisionError, match="own"):
        store.put(failing(), id="failed")

    assert list(store.blobs.list("")) == []
    assert store.load("failed") is None
