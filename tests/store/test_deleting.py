"""Deleting: what was deleted does not come back, whatever is written after it."""

import threading

import pytest

from resultstore import ResultMissing, Settings, State, Store, connect
from resultstore.dispatch.orders import Order, announce, withdraw
from resultstore.model import layout
from resultstore.model.errors import BlobStoreUnavailable, ResultDeleted
from resultstore.model.result import Result
from tests.store.deletion_steps import OWNER, STEPS, WHY, Work, nothing_is_left


@pytest.mark.parametrize("at", range(1, len(STEPS) + 1))
def test_what_is_deleted_after_any_step_stays_deleted(store: Store, at: int):
    work = Work(store, "job")
    for name in STEPS[:at]:
        work.step(name)

    store.delete("job")
    for name in STEPS[at:]:
        work.step(name)

    assert nothing_is_left(store, "job")
    assert store.was_deleted("job")


@pytest.mark.parametrize("state", [State.PENDING, State.STARTED, State.PROGRESS, State.RETRY, "PACKING"])
@pytest.mark.parametrize("later", [State.FAILURE, State.REVOKED, State.SUCCESS, State.PROGRESS])
def test_nothing_is_written_over_a_deletion(store: Store, state: str, later: str):
    store.save(Result(id="job", owner=OWNER, state=state))

    store.delete("job")

    assert not store.save(Result(id="job", owner=OWNER, state=later, value=b"1"))
    assert nothing_is_left(store, "job")


@pytest.mark.parametrize("state", [State.REVOKED, State.FAILURE, State.SUCCESS])
def test_what_ended_without_a_seal_stays_deleted(store: Store, state: State):
    store.save(Result(id="job", owner=OWNER, state=state))
    work = Work(store, "job")

    store.delete("job")
    for name in STEPS:
        work.step(name)

    assert nothing_is_left(store, "job")


def test_a_small_value_of_nobodys_stays_forgotten(store: Store):
    """Its tombstone is the index's alone: to forget a small result costs no request to the object store."""
    small = Result(id="job", state=State.SUCCESS, value=b"1")
    store.save(small)

    store.delete("job")

    assert not store.save(small)
    assert store.load("job") is None
    assert list(store.blobs.list("seals/")) == []


def test_of_an_unknown_id_nothing_comes_later(store: Store):
    work = Work(store, "job")

    store.delete("job")
    for name in STEPS:
        work.step(name)

    assert nothing_is_left(store, "job")


@pytest.fixture
def deleted_and_lost(store: Store) -> Work:
    """Work that runs on after its Result was deleted, and after Redis was lost."""
    work = Work(store, "job")
    work.step("queued")
    store.delete("job")
    store.index.__init__()  # FLUSHALL
    work.step("stored")
    return work


def test_late_seal_revives_nothing_after_redis_loss(store: Store, deleted_and_lost: Work):
    with pytest.raises(ResultDeleted):
        store.seal(deleted_and_lost.attempt)

    assert nothing_is_left(store, "job")
    assert store.was_deleted("job")


def test_late_failure_revives_nothing_after_redis_loss(store: Store, deleted_and_lost: Work):
    assert not store.save(Result(id="job", owner=OWNER, state=State.FAILURE, failure=WHY))

    assert store.load("job") is None
    assert list(store.ids(owner=OWNER)) == []


def test_deletion_without_object_store_is_recorded():
    store = connect(Settings(index_url="memory://", blobs_url="", secret_key="k" * 32))
    store.save(Result(id="job", owner=OWNER, state=State.REVOKED))

    store.delete("job")

    assert not store.save(Result(id="job", owner=OWNER, state=State.SUCCESS, value=b"1"))
    assert store.load("job") is None


def upload_of(store: Store, result_id: str) -> str:
    key = layout.upload_key(result_id, retention="30d", nonce=layout.new_nonce())
    store.blobs.put(key, [b"sent"], media_type="text/plain")
    return key


@pytest.mark.parametrize("state", [State.FAILURE, State.REVOKED, State.PENDING, "UPLOADING"])
def test_deleting_failed_work_deletes_its_upload(store: Store, state: str):
    """Also where the record does not name the upload: the task had other arguments, or was never begun."""
    upload_of(store, "job")
    store.save(Result(id="job", owner=OWNER, state=state))

    store.delete("job")

    assert nothing_is_left(store, "job")


def test_a_waiter_learns_of_the_deletion(store: Store):
    store.save(Result(id="job", owner=OWNER))
    threading.Timer(0.1, lambda: store.delete("job")).start()

    with pytest.raises(ResultDeleted, match="job was deleted"):
        store.wait("job", timeout_s=60)
    with pytest.raises(ResultMissing):
        store.wait("job", timeout_s=60)


def test_a_deleted_id_is_not_announced_again(store: Store):
    store.save(Result(id="job", owner=OWNER))
    store.delete("job")

    with pytest.raises(ResultDeleted, match="under a new id"):
        announce(store, Order(id="job", task="t", owner=OWNER))

    assert store.index.keys.read(layout.order_key("job")) is None
    assert nothing_is_left(store, "job")


def test_withdrawing_an_order_keeps_its_deletion(store: Store):
    order = Order(id="job", task="t", owner=OWNER)
    announce(store, order)
    store.delete("job")

    withdraw(store, order, before=None)

    assert not store.save(Result(id="job", owner=OWNER, state=State.SUCCESS))


def test_a_put_under_a_deleted_id_says_so(store: Store):
    store.put(b"one", id="job")
    store.delete("job")

    with pytest.raises(ResultDeleted, match="job was deleted"):
        store.put(b"two", id="job")
    assert list(store.blobs.list("blobs/")) == []


@pytest.fixture
def seals_are_refused(store: Store, monkeypatch) -> None:
    """The account of a gateway that deletes no results: it may not write seals."""

    def refused(*_: object, **__: object) -> None:
        raise BlobStoreUnavailable("403 AccessDenied")

    monkeypatch.setattr(store.blobs, "replace", refused)


def test_cancelled_work_is_deleted_without_rights_to_seals(store: Store, seals_are_refused):
    store.save(Result(id="job", owner=OWNER, state=State.REVOKED))

    store.delete("job")

    assert not store.save(Result(id="job", owner=OWNER, state=State.SUCCESS))
    assert nothing_is_left(store, "job")


def test_sealed_result_survives_missing_rights(store: Store, seals_are_refused):
    artifact = store.put(b"one", id="job")

    with pytest.raises(BlobStoreUnavailable):
        store.delete("job")

    assert store.open(store.load("job").artifacts[0]).read() == b"one"
    assert artifact.id == "job"


@pytest.mark.parametrize("deleted", [True, False], ids=["deleted", "cancelled"])
def test_cancelled_work_is_distinguished(store: Store, deleted: bool):
    for name in ("wanted", "unwanted"):
        store.save(Result(id=name, owner=OWNER))
    if deleted:
        store.delete("unwanted")
    else:
        store.save(Result(id="unwanted", owner=OWNER, state=State.REVOKED))

    assert [store.is_wanted(one) for one in ("wanted", "unwanted", "unknown")] == [True, False, True]
    assert store.deleted_many(["wanted", "unwanted", "unknown"]) == (["unwanted"] if deleted else [])
