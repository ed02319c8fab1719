"""Contract of Index, records: what each driver stores, for how long, and what may replace it."""

import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from resultstore.index.index import Index, Overwrite
from resultstore.model.artifact import Artifact
from resultstore.model.errors import BadReference
from resultstore.model.event import Event
from resultstore.model.layout import new_nonce
from resultstore.model.result import Failure, Progress, Result, State

SOON_S = 5.0
UNFINISHED = [State.PENDING, State.RECEIVED, State.STARTED, State.PROGRESS, State.RETRY, "PACKING"]
TERMINAL = [State.FAILURE, State.REVOKED, State.SUCCESS]


def test_each_driver_implements_the_index_contract(index):
    assert isinstance(index, Index)


def test_an_unknown_id_returns_none(index, one):
    assert index.load(one.id) is None
    assert index.peek(one.id) is None


def test_every_field_is_loaded_as_saved(index, one):
    artifact = Artifact(
        id=one.id, name="page", file_name="page.pdf", key="k", etag="e", size_bytes=9, media_type="application/pdf",
        sha256="ab", stored_bytes=9, expires_at=99, metadata={"pages": 3},
    )  # fmt: skip
    full = one.moved(
        State.FAILURE, task="tasks.add", owner="ann", value=b"v" * 5000, progress=Progress(1, 2, "half"),
        failure=Failure("ValueError", "m" * 5000, "builtins"), traceback="t" * 5000, artifacts=(artifact,),
        sealed=True, ephemeral=True, nonce=new_nonce(), created_at=1.25, started_at=2.5, ended_at=3.75,
        changed_at=time.time(), expires_at=2_000_000_000, worker="w@host", retries=2, extra=b"x" * 500,
    )  # fmt: skip
    assert index.save(full, ttl_s=60)
    assert index.load(one.id) == full


def test_peek_leaves_out_large_fields(index, one):
    index.save(one.moved(State.SUCCESS, value=b"4", task="tasks.add"), ttl_s=60)
    assert index.peek(one.id) == one.moved(State.SUCCESS, value=b"4", task="tasks.add")

    other = Result(id=uuid.uuid4().hex, state=State.SUCCESS, value=b"v" * 5000, traceback="t")
    index.save(other, ttl_s=60)
    assert index.peek(other.id) == Result(id=other.id, state=State.SUCCESS, unread=frozenset({"value", "rest"}))
    assert index.load(other.id) == other


@pytest.mark.parametrize("over", [one for one in Overwrite if one is not Overwrite.UNREADABLE])
@pytest.mark.parametrize("later", [*UNFINISHED, *TERMINAL])
def test_success_is_never_overwritten(index, one, over, later):
    index.save(one.moved(State.SUCCESS, value=b"first"), ttl_s=60)
    assert not index.save(one.moved(later, value=b"later"), ttl_s=60, over=over)
    assert index.load(one.id) == one.moved(State.SUCCESS, value=b"first")


def test_a_success_with_another_large_value_is_kept(index, one):
    index.save(one.moved(State.SUCCESS, value=b"a" * 500), ttl_s=60)
    assert not index.save(one.moved(State.SUCCESS, value=b"b" * 500), ttl_s=60)
    assert index.load(one.id).value == b"a" * 500


@pytest.mark.parametrize("before", [*UNFINISHED, State.FAILURE, State.REVOKED])
@pytest.mark.parametrize("after", [State.STARTED, State.FAILURE, State.SUCCESS, "PACKING"])
def test_a_transition_replaces_everything_but_success(index, one, before, after):
    index.save(one.moved(before), ttl_s=60)
    assert index.save(one.moved(after, value=b"after"), ttl_s=60)
    assert index.load(one.id) == one.moved(after, value=b"after")


@pytest.mark.parametrize("state", UNFINISHED)
def test_a_sealed_result_replaces_an_unfinished_record(index, one, state):
    index.save(one.moved(state), ttl_s=60)
    assert index.save(one.moved(State.SUCCESS, sealed=True), ttl_s=60, over=Overwrite.IF_UNFINISHED)
    assert index.peek(one.id).sealed


@pytest.mark.parametrize("state", TERMINAL)
def test_a_sealed_result_replaces_no_terminal_record(index, one, state):
    index.save(one.moved(state), ttl_s=60)
    assert not index.save(one.moved(State.SUCCESS, sealed=True), ttl_s=60, over=Overwrite.IF_UNFINISHED)
    assert not index.peek(one.id).sealed


@pytest.mark.parametrize("over", Overwrite)
def test_every_save_is_written_without_a_record(index, one, over):
    assert index.save(one.moved(State.STARTED), ttl_s=60, over=over)
    assert index.peek(one.id).state == State.STARTED


@pytest.mark.parametrize("state", [*UNFINISHED, *TERMINAL])
def test_work_is_announced_only_without_a_record(index, one, state):
    assert index.save(one.moved(state), ttl_s=60, over=Overwrite.IF_ABSENT)
    assert not index.save(one.moved(state), ttl_s=60, over=Overwrite.IF_ABSENT)
    assert not index.save(one.moved(State.PENDING, value=b"x"), ttl_s=60, over=Overwrite.IF_ABSENT)
    assert index.load(one.id) == one.moved(state)


@pytest.mark.parametrize("over", [Overwrite.UNLESS_SUCCESS, Overwrite.IF_UNFINISHED])
def test_a_repeated_save_is_idempotent(index, one, over):
    done = one.moved(State.SUCCESS, value=b"v" * 500)
    assert index.save(done, ttl_s=60, over=over)
    assert index.save(done, ttl_s=60, over=over)
    assert index.load(one.id) == done


def test_one_of_many_announcements_wins(index, one):
    def announce(n):
        return index.save(one.moved(State.PENDING, worker=str(n)), ttl_s=60, over=Overwrite.IF_ABSENT)

    with ThreadPoolExecutor(16) as threads:
        told = list(threads.map(announce, range(64)))
    assert told.count(True) == 1
    assert index.peek(one.id).worker == str(told.index(True))


def test_success_wins_a_race_of_16_threads(index):
    for _ in range(10):
        result_id = uuid.uuid4().hex
        start = threading.Barrier(16)

        def attempt(n, result_id=result_id, start=start):
            state = State.SUCCESS if n == 0 else State.FAILURE
            start.wait()
            return index.save(Result(id=result_id, state=state, worker=str(n)), ttl_s=60)

        with ThreadPoolExecutor(16) as threads:
            told = list(threads.map(attempt, range(16)))
        assert told[0]
        assert index.load(result_id) == Result(id=result_id, state=State.SUCCESS, worker="0")


def test_the_first_of_16_successes_wins(index, one):
    start = threading.Barrier(16)

    def attempt(n):
        start.wait()
        return index.save(one.moved(State.SUCCESS, worker=str(n)), ttl_s=60)

    with ThreadPoolExecutor(16) as threads:
        told = list(threads.map(attempt, range(16)))
    assert told.count(True) == 1
    assert index.load(one.id).worker == str(told.index(True))


@pytest.mark.parametrize("value", [b"small", b"v" * 500])
def test_a_record_expires_on_time(index, one, value):
    index.save(one.moved(State.SUCCESS, value=value), ttl_s=1)
    assert index.load(one.id) is not None
    assert gone_within(index, one.id, 2.0)
    assert index.peek(one.id) is None
    assert index.save(one.moved(State.FAILURE), ttl_s=60, over=Overwrite.IF_ABSENT)


def test_an_expired_record_is_gone_at_once(index, one):
    index.save(one, ttl_s=-5)
    assert gone_within(index, one.id, 0.1)


def test_the_last_save_sets_the_expiry(index, one):
    index.save(one.moved(State.PENDING, value=b"v" * 500), ttl_s=1)
    index.save(one.moved(State.STARTED, value=b"v" * 500), ttl_s=None)
    assert not gone_within(index, one.id, 1.2)


def test_a_record_can_be_deleted_twice(index, one):
    index.save(one.moved(State.SUCCESS, value=b"v" * 500), ttl_s=60)
    index.delete(one.id)
    index.delete(one.id)
    assert index.load(one.id) is None
    assert index.save(one.moved(State.PENDING), ttl_s=60, over=Overwrite.IF_ABSENT)
    assert index.load(one.id) == one


def test_larger_parts_of_an_older_record_are_deleted(index, one):
    index.save(one.moved(State.RETRY, traceback="old", value=b"v" * 500), ttl_s=60)
    index.save(one.moved(State.SUCCESS, value=b"4"), ttl_s=60)
    assert index.load(one.id) == one.moved(State.SUCCESS, value=b"4")


def test_an_invalid_nonce_is_refused_before_any_write(index, one):
    with pytest.raises(BadReference, match=one.id):
        index.save(one.moved(State.SUCCESS, nonce="nope"), ttl_s=60)
    assert index.load(one.id) is None


def test_only_the_owners_ids_are_listed_newest_first(index):
    owner, other = uuid.uuid4().hex, uuid.uuid4().hex
    ids = [uuid.uuid4().hex for _ in range(5)]
    for n, result_id in enumerate(ids):
        index.save(Result(id=result_id, owner=owner, created_at=1000.0 + n), ttl_s=60)
    index.save(Result(id=uuid.uuid4().hex, owner=other), ttl_s=60)
    index.save(Result(id=ids[0], owner=owner, state=State.SUCCESS, created_at=1000.0), ttl_s=60)
    assert list(index.listing.ids(owner=owner)) == ids[::-1]
    assert list(index.listing.ids(owner=owner, limit=2)) == ids[:2:-1]
    assert list(index.listing.ids(owner=uuid.uuid4().hex)) == []


def test_deleted_and_expired_ids_are_not_listed(index):
    owner = uuid.uuid4().hex
    kept, deleted, expired = (Result(id=uuid.uuid4().hex, owner=owner) for _ in range(3))
    index.save(expired, ttl_s=1)
    index.save(kept, ttl_s=60)
    index.save(deleted, ttl_s=60)
    index.delete(deleted.id)
    assert gone_within(index, expired.id, 2.0)
    assert list(index.listing.ids(owner=owner)) == [kept.id]


def test_all_ids_are_listed_once_within_the_limit(index):
    saved = {uuid.uuid4().hex for _ in range(30)}
    for result_id in saved:
        index.save(Result(id=result_id, state=State.SUCCESS, value=b"v" * 500), ttl_s=60)
    listed = list(index.listing.ids(limit=1_000_000))
    assert saved <= set(listed)
    assert len(listed) == len(set(listed))
    assert len(list(index.listing.ids(limit=7))) == 7


@pytest.mark.parametrize("result_id", ["a b", "ünï/{x}", "}:+", "x" * 300])
def test_any_text_may_be_an_id(index, result_id, request):
    result_id += uuid.uuid4().hex
    done = Result(id=result_id, state=State.SUCCESS, value=b"v" * 500, owner=result_id)
    if result_id.startswith("}") and "cluster" in request.node.name:
        with pytest.raises(BadReference, match="begins with a brace"):
            index.save(done, ttl_s=60)
        return
    with index.events.watch(result_id) as watch:
        assert index.save(done, ttl_s=60)
        assert watch.wait(SOON_S) == Event(result_id, "SUCCESS")
    assert index.load(result_id) == done
    assert list(index.listing.ids(owner=result_id)) == [result_id]
    assert result_id in set(index.listing.ids(limit=1_000_000))


def gone_within(index, result_id, limit_s):
    end = time.monotonic() + limit_s
    while index.load(result_id) is not None:
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
