"""Parts of an attempt, and the sources that they are made of."""

import hashlib
import io
import os
import tempfile
import threading
import time
from pathlib import Path

import msgspec
import pytest

from resultstore import BadReference, Store
from resultstore.blobs.stream import Meter
from resultstore.model import layout
from resultstore.model.errors import BlobStoreUnavailable
from resultstore.model.result import Result
from resultstore.store import writer as writers
from resultstore.store.attempt import Attempt, current, running
from resultstore.store.naming import media_type_of

MIB = 1 << 20


def test_running_parts_are_verified_by_their_tables(store: Store):
    contents = {"one": os.urandom(2 * MIB), "two": os.urandom(2 * MIB)}
    with running(Attempt("job")):
        made = [store.put(content, name=name) for name, content in contents.items()]

        assert [store.open(artifact).read() for artifact in made] == list(contents.values())


def test_part_is_verified_by_its_own_table(store: Store):
    first, second = Attempt("job"), Attempt("job")
    with running(first):
        store.put(os.urandom(2 * MIB), name="same")
    store.seal(first)
    content = os.urandom(2 * MIB)
    with running(second):
        late = store.put(content, name="same")

    assert store.open(late).read() == content


def test_id_inside_a_task_makes_own_result(store: Store):
    attempt = Attempt("job")
    with running(attempt):
        own = store.put(b"to send on", id="own")

    assert attempt.artifacts == ()
    store.index.delete("own")
    assert store.load("own").artifacts == (own,)


def test_writes_inside_a_task_become_its_parts(store: Store):
    attempt = Attempt("job")
    with running(attempt):
        with store.writer(name="rows.csv") as out:
            out.write(b"a,b\n")
        assert current() is attempt

    assert attempt.artifacts == (out.artifact,)
    assert current() is None


def test_a_slow_store_holds_the_producer_back(store: Store):
    # given
    held, written = threading.Event(), [0]

    def slow(*_: object, **__: object) -> None:
        held.wait(20)
        raise BlobStoreUnavailable("enough")

    def produce() -> None:
        with pytest.raises(BlobStoreUnavailable), store.writer(name="x.bin") as out:
            for _ in range(100):
                written[0] += out.write(b"x" * writers.CHUNK_BYTES)

    store.blobs.put = slow
    producer = threading.Thread(target=produce)

    # when
    producer.start()
    until = time.monotonic() + 10
    while written[0] < writers.CHUNKS_WAITING * writers.CHUNK_BYTES and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.1)
    taken_bytes = written[0]
    held.set()
    producer.join()

    # then
    assert taken_bytes == writers.CHUNKS_WAITING * writers.CHUNK_BYTES


def test_name_is_free_after_a_failed_write(store: Store):
    def failing():
        yield b"x"
        raise ZeroDivisionError

    with running(Attempt("job")):
        with pytest.raises(ZeroDivisionError):
            store.put(failing(), name="same")

        assert store.put(b"second try", name="same").size_bytes == 10


def test_store_keeping_fewer_bytes_is_detected(store: Store):
    put = store.blobs.put

    def losing(key: str, chunks, **options: object):
        stored = put(key, chunks, **options)
        return msgspec.structs.replace(stored, size_bytes=stored.size_bytes - 1)

    store.blobs.put = losing

    with pytest.raises(BlobStoreUnavailable, match="9 of 10 bytes"):
        store.put(b"0123456789", id="job")
    assert store.load("job") is None


def test_file_is_stored_from_its_position(store: Store):
    hints: list[int | None] = []
    put = store.blobs.put

    def noting(key: str, chunks, *, size_hint_bytes: int | None, **options: object):
        hints.append(size_hint_bytes)
        return put(key, chunks, size_hint_bytes=size_hint_bytes, **options)

    store.blobs.put = noting
    file = io.BytesIO(b"head and the rest")
    file.seek(5)

    artifact = store.put(file)

    assert store.open(artifact).read() == b"and the rest"
    assert hints == [12]
    assert not file.closed


def test_a_path_is_closed_behind_its_bytes(store: Store, tmp_path: Path):
    def refuse(*_: object, **__: object) -> None:
        raise BlobStoreUnavailable("refused")

    path = tmp_path / "a.bin"
    path.write_bytes(b"x")
    store.put(path)
    store.blobs.put = refuse
    with pytest.raises(BlobStoreUnavailable):
        store.put(path)

    assert [fd for fd in Path("/proc/self/fd").iterdir() if fd.exists() and fd.readlink() == path] == []


@pytest.mark.parametrize("compress", [False, True])
def test_a_closed_reader_lets_its_stream_go(store: Store, compress: bool):
    artifact = store.put(os.urandom(4 * MIB), compress=compress)
    get, ended = store.blobs.get, []

    def noting(key: str, **options: int):
        try:
            yield from get(key, **options)
        finally:
            ended.append(key)

    store.blobs.get = noting
    file = store.open(artifact)
    file.read(10)
    ended.clear()

    file.close()

    assert compress or ended == [artifact.key]
    assert file.closed


def test_nameless_and_unknown_files_get_right_types(store: Store):
    with tempfile.TemporaryFile() as file:
        file.write(b"x")
        file.seek(0)
        assert store.put(file).name == "output"
    expected = {"a.avif": "image/avif", "a.ONNX": "application/onnx", "a.skops": "application/vnd.skops"}
    assert {name: media_type_of(name) for name in expected} == expected
    assert media_type_of("unknown.zzz") == media_type_of("noending") == ""


def test_a_plain_result_is_deleted_without_a_tombstone(store: Store):
    store.save(Result(id="job", state="SUCCESS", value=b"1"))

    store.delete("job")

    assert store.load("job") is None
    assert list(store.blobs.list("")) == []


@pytest.mark.parametrize("strange", ["a\n", "{a}", "}a{", "a}b", "\n", "a b", "x" * 65, "x" * 300, ".", ".."])
def test_keys_of_two_ids_never_collide(store: Store, strange: str):
    artifact = store.put(b"content", id=strange)
    store.put(b"other", id="a")

    assert artifact.key.split("/")[3].startswith("~")
    assert store.load(strange).artifacts == (artifact,)
    assert layout.id_of_record_key(layout.record_key(strange)) == strange


def test_a_nonce_that_is_none_makes_no_key():
    with pytest.raises(BadReference, match="nonce"):
        layout.blob_key("a", retention="1d", nonce="../x", n=0)


@pytest.mark.parametrize(
    "key",
    ["blobs/2d/00/a/{n}.0", "blobs/1d/00/a/{n}.0/b", "blobs/1d/0/a/{n}.0", "seals/1d/00/a/{n}.0", "blobs/1d/00/a/b"],
)
def test_key_resembling_content_is_ignored(key: str):
    nonce = "0" * 32

    assert layout.is_content_key(f"blobs/1d/00/a/{nonce}.0")
    assert not layout.is_content_key(key.format(n=nonce))
    assert not layout.is_content_key(f"blobs/1d/00/a/{nonce}.0\n")


@pytest.mark.parametrize("size_bytes", [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB, 3 * MIB - 7])
def test_digest_table_has_an_entry_per_mib(size_bytes: int):
    content = os.urandom(size_bytes)
    meter = Meter([content[:1_000], content[1_000:]])
    pieces = list(meter)

    blocks = [content[at : at + MIB] for at in range(0, size_bytes, MIB)]
    assert meter.table == b"".join(hashlib.sha256(block).digest()[:16] for block in blocks)
    assert b"".join(pieces) == content
    assert max((piece.nbytes for piece in pieces), default=0) <= MIB
