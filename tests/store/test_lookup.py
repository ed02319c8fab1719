"""Looking up an id: a terminal record is the answer, no record never is."""

import threading
import time

import pytest

from resultstore import State, Store
from resultstore.model.errors import IndexUnavailable
from resultstore.model.result import Result
from resultstore.store import lookup as rules, miss_cache, waiting
from resultstore.store.attempt import Attempt


def count_reads(store: Store) -> list[str]:
    reads: list[str] = []
    plain = store.blobs.get

    def counting(key: str, **options):
        reads.append(key)
        return plain(key, **options)

    store.blobs.get = counting
    return reads


def test_polling_dispatched_work_skips_the_object_store(store: Store):
    store.save(Result(id="job", state=State.PENDING))
    reads = count_reads(store)

    for _ in range(50):
        assert store.peek("job").state == State.PENDING

    assert reads == []


def test_unknown_id_costs_one_read(store: Store):
    reads = count_reads(store)

    for _ in range(50):
        assert store.load("nobody") is None

    assert len(reads) == 1


def test_a_stale_record_is_no_answer(store: Store, monkeypatch: pytest.MonkeyPatch):
    """The worker sealed and died before it could write the record."""
    store.save(Result(id="job", state=State.STARTED))
    store.seal(Attempt("job"), value=b"1")
    assert store.load("job").state == State.STARTED

    monkeypatch.setattr(rules, "STALE_AFTER_S", 0.0)

    assert store.load("job").state == State.SUCCESS
    assert store.index.load("job").state == State.SUCCESS


def test_an_ephemeral_record_is_never_read_through(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rules, "STALE_AFTER_S", 0.0)
    store.save(Result(id="job", state=State.STARTED, ephemeral=True))
    reads = count_reads(store)

    store.load("job")

    assert reads == []


def test_success_is_never_overwritten(store: Store):
    store.save(Result(id="job", state=State.SUCCESS, value=b"1"))

    assert not store.save(Result(id="job", state=State.FAILURE))

    assert store.load("job").state == State.SUCCESS


def test_sealed_result_is_found_without_index(store: Store):
    def down(*_: object, **__: object):
        raise IndexUnavailable("down")

    artifact = store.put(b"content")
    store.index.load = store.index.save = down

    assert store.load(artifact.id).artifacts == (artifact,)
    with pytest.raises(IndexUnavailable):
        store.load("unknown")


def test_a_waiter_wakes_when_the_result_is_there(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(waiting, "RECHECK_S", 3_600.0)
    timer = threading.Timer(0.2, lambda: store.save(Result(id="job", state=State.SUCCESS, value=b"1")))
    timer.start()

    found = store.wait("job", timeout_s=30)

    assert found.value == b"1"


def test_a_lost_announcement_costs_one_slow_check(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(waiting, "RECHECK_S", 0.3)
    monkeypatch.setattr(miss_cache, "MISS_FIRST_S", 0.1)
    attempt = Attempt("job")
    threading.Timer(0.1, lambda: store.seal(attempt, value=b"1")).start()  # sealed, and not announced

    began = time.monotonic()
    assert store.wait("job", timeout_s=10).state == State.SUCCESS
    assert time.monotonic() - began < 5


def test_progress_does_not_end_the_waiting(store: Store):
    store.save(Result(id="job", state=State.PROGRESS))

    with pytest.raises(TimeoutError):
        store.wait("job", timeout_s=0.1)


def test_remote_deletion_wins_over_an_old_record(store: Store, monkeypatch):
    monkeypatch.setattr(rules, "STALE_AFTER_S", 0.0)
    artifact = store.put(b"content")
    monkeypatch.setattr(store.index, "write_tombstone", lambda *_, **__: None)  # of an index that another process lost
    store.delete(artifact.id)
    store.index.delete(artifact.id)
    store.save(Result(id=artifact.id, state=State.STARTED))

    assert store.load(artifact.id) is None
    assert store.peek(artifact.id) is None
    assert store.index.peek(artifact.id).state == State.STARTED


def test_waiting_ends_when_its_time_is_over(store: Store):
    with pytest.raises(TimeoutError, match="job"):
        store.wait("job", timeout_s=0.2)


def test_progress_is_visible_only_inside_tasks(store: Store):
    from resultstore.store.attempt import running  # noqa: PLC0415

    store.progress(1, 2)
    with running(Attempt("job", task="t")):
        store.progress(1, 4, "first")

    found = store.peek("job")
    assert found.progress.percent == 25
    assert found.progress.note == "first"
