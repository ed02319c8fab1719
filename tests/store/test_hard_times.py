"""Hard times: servers that blink, producers that are stopped, inputs that no document can hold."""

import contextvars
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from resultstore import BadReference, State, Store, WrongType
from resultstore.model.errors import BlobStoreUnavailable
from resultstore.model.result import Result
from resultstore.store import lookup as rules, miss_cache, waiting
from resultstore.store.attempt import Attempt, running

MIB = 1 << 20


def test_a_reader_that_was_interrupted_reads_on(store: Store):
    content = os.urandom(3 * MIB)
    artifact = store.put(content)
    get, breaks = store.blobs.get, iter([True])

    def shaky(key: str, **options: int) -> Iterator[bytes]:
        stream = get(key, **options)
        if not key.startswith("blobs/") or not next(breaks, False):
            yield from stream
            return
        yield next(stream)
        raise BlobStoreUnavailable("the line is cut")

    store.blobs.get = shaky

    with store.open(artifact) as file:
        assert file.read(100) == content[:100]
        with pytest.raises(BlobStoreUnavailable):
            file.seek(2 * MIB - 1) and file.read(2)
        file.seek(2 * MIB - 1)
        assert file.read(2) == content[2 * MIB - 1 :][:2]
        file.seek(100)
        assert file.read() == content[100:]


def test_a_waiter_outlasts_an_object_store_that_blinks(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(waiting, "RECHECK_S", 0.05)
    monkeypatch.setattr(rules, "STALE_AFTER_S", 0.0)
    monkeypatch.setattr(miss_cache, "MISS_FIRST_S", 0.01)
    store.save(Result(id="job", state=State.STARTED))
    get, down = store.blobs.get, threading.Event()
    fired: list[str] = []

    def blinking(key: str, **options: int) -> Iterator[bytes]:
        if down.is_set():
            return get(key, **options)
        fired.append(key)
        if len(fired) == 3:
            store.seal(Attempt("job"), value=b"1")
            down.set()
        raise BlobStoreUnavailable("503")

    store.blobs.get = blinking

    assert store.wait("job", timeout_s=10).value == b"1"
    assert len(fired) == 3


def test_waiter_learns_of_a_lasting_outage(store: Store, monkeypatch: pytest.MonkeyPatch):
    def away(*_: object, **__: object) -> None:
        raise BlobStoreUnavailable("503")

    monkeypatch.setattr(waiting, "UNAVAILABLE_LIMIT_S", 0.3)
    store.blobs.get = away

    with pytest.raises(BlobStoreUnavailable):
        store.wait("job", timeout_s=20)


class TimeIsUpError(Exception):
    """What Celery's soft time limit raises, from a signal."""


def test_time_limit_during_upload_leaves_no_thread(store: Store):
    # given
    put, sending = store.blobs.put, threading.Event()

    def slow(key: str, chunks: Iterator[bytes], **options: object) -> object:
        stored = put(key, chunks, **options)
        sending.wait(0.5)
        return stored

    def stop(*_: object) -> None:
        raise TimeIsUpError

    store.blobs.put = slow
    before = signal.signal(signal.SIGALRM, stop)

    # when
    try:
        with pytest.raises(TimeIsUpError), store.writer(name="rows.csv") as out:
            out.write(b"a,b\n")
            signal.setitimer(signal.ITIMER_REAL, 0.1)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    # then
    assert [one.name for one in threading.enumerate() if one.name == "resultstore-writer"] == []


@pytest.mark.parametrize("metadata", [{"a": [1]}, {"a": {}}, {"a": object()}, {"a": "\ud800"}])
def test_unsealable_metadata_is_refused_first(store: Store, metadata):
    with pytest.raises(WrongType, match="metadata"):
        store.put(b"x", id="job", metadata=metadata)

    assert list(store.blobs.list("")) == []


def test_metadata_is_read_when_the_block_ends(store: Store):
    facts: dict[str, object] = {}

    with pytest.raises(WrongType, match="metadata"), store.writer(name="rows", id="job", metadata=facts) as out:
        out.write(b"x")
        facts["rows"] = [1, 2]

    assert store.load("job") is None


def test_undecodable_file_name_is_replaced(store: Store, tmp_path: Path):
    path = tmp_path / "caf\udce9.txt"
    path.write_bytes(b"coffee")

    artifacts = [store.put(path, name="menu"), store.put(path), store.put(path.open("rb"))]

    assert [artifact.file_name for artifact in artifacts] == ["menu.txt", "caf?.txt", "caf?.txt"]
    for artifact in artifacts:
        store.index.delete(artifact.id)
        assert store.load(artifact.id).artifacts == (artifact,)


def test_an_empty_id_is_refused(store: Store):
    with pytest.raises(BadReference, match="empty"):
        store.put(b"x", id="")


def test_task_threads_in_context_make_parts(store: Store):
    attempt = Attempt("job")

    with running(attempt), ThreadPoolExecutor(4) as pool:
        made = [
            pool.submit(contextvars.copy_context().run, store.put, b"%d" % number, name=f"part-{number}")
            for number in range(20)
        ]
        outside = pool.submit(store.put, b"a Result of its own").result()

    parts = sorted((part.result() for part in made), key=lambda part: part.key)
    assert parts == sorted(store.seal(attempt).artifacts, key=lambda part: part.key)
    assert outside.id != "job"


@pytest.mark.parametrize(
    "media_type", ["text/plain\r\nx-other: 1", "t\u00e4xt/plain", "text", "text/", "x/" + "y" * 300]
)
def test_impossible_media_type_is_refused(store: Store, media_type: str):
    """obstore's signer panics over it, with an exception that no `except Exception` sees."""
    with pytest.raises(WrongType, match="media type"):
        store.put(b"x", media_type=media_type)

    assert list(store.blobs.list("")) == []
    assert store.put(b"x", media_type="text/csv; charset=utf-8").media_type == "text/csv; charset=utf-8"
