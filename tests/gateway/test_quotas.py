"""Quotas limit one owner without affecting others."""

import time
import uuid

import pytest

from resultstore.blobs.memory import MemoryBlobs
from resultstore.gateway.problems import Problem
from resultstore.gateway.quotas import QuotaKind, Quotas
from resultstore.index.memory.driver import MemoryIndex
from resultstore.index.redis.driver import RedisIndex
from resultstore.model import layout
from resultstore.model.artifact import Artifact
from resultstore.model.result import Failure, Result, State
from resultstore.settings import Settings
from resultstore.store import Store
from resultstore.store.byte_count import ByteCounter
from resultstore.testing.promises import at_once
from tests.uploads.telling import until


@pytest.fixture(params=["memory", "redis"])
def index(request):
    return MemoryIndex() if request.param == "memory" else RedisIndex(request.getfixturevalue("redis_url"))


@pytest.fixture
def owner():
    return f"owner-{uuid.uuid4().hex}"


def limited(index, *, counting=None, **most):
    return Quotas(index, Settings(**{f"quota_{name}": value for name, value in most.items()}), counting=counting)


@pytest.mark.parametrize("kind", list(QuotaKind))
def test_quota_refuses_with_retry_after(index, owner, kind):
    quotas = limited(index, **{kind: 2})
    quotas.take(kind, owner, "a", ttl_s=60)
    quotas.take(kind, owner, "b", ttl_s=60)

    with pytest.raises(Problem) as refused:
        quotas.take(kind, owner, "c", ttl_s=60)

    assert (refused.value.status, refused.value.slug) == (429, "quota")
    assert int(refused.value.headers["Retry-After"]) > 0
    quotas.take(kind, owner, "a", ttl_s=60)
    quotas.take(kind, owner + "-other", "c", ttl_s=60)


def test_ended_tasks_are_released_from_quota(index, owner):
    quotas = limited(index, running=1)
    done = Result(id=uuid.uuid4().hex, owner=owner)
    quotas.take(QuotaKind.RUNNING, owner, done.id, ttl_s=60)
    with pytest.raises(Problem):
        quotas.take(QuotaKind.RUNNING, owner, "next", ttl_s=60)

    index.save(done.moved(State.SUCCESS), ttl_s=60)

    quotas.take(QuotaKind.RUNNING, owner, "next", ttl_s=60)


def test_two_gateways_count_together(redis_url, owner):
    one, other = (limited(RedisIndex(redis_url), tickets=1) for _ in range(2))
    one.take(QuotaKind.TICKETS, owner, "a", ttl_s=60)

    with pytest.raises(Problem):
        other.take(QuotaKind.TICKETS, owner, "b", ttl_s=60)


def test_stored_bytes_count_artifacts_and_reservations(index, owner):
    quotas = limited(index, stored_bytes=1000)
    made = Result(id=uuid.uuid4().hex, owner=owner, state=State.SUCCESS, artifacts=(artifact(stored_bytes=600),))
    index.save(made, ttl_s=60)
    quotas.reserve_bytes(owner, "up", ttl_s=60, size_bytes=300)

    with pytest.raises(Problem):
        quotas.reserve_bytes(owner, "more", ttl_s=60, size_bytes=101)

    assert quotas.stored_bytes(owner) == 900
    quotas.reserve_bytes(owner, "less", ttl_s=60, size_bytes=100)


def test_an_upload_that_is_stored_counts_once(index, owner):
    counting = ByteCounter(index)
    quotas = limited(index, stored_bytes=1000, counting=counting)
    quotas.reserve_bytes(owner, "up", ttl_s=60, size_bytes=900)
    quotas.reserve_bytes(owner, "up", ttl_s=60, size_bytes=900)
    assert quotas.stored_bytes(owner) == 900

    counting.count(Result(id="up", owner=owner, state=State.STARTED, artifacts=(artifact(stored_bytes=900),)))
    assert quotas.stored_bytes(owner) == 900

    counting.count(Result(id="up", owner=owner, state=State.SUCCESS, artifacts=(artifact(stored_bytes=950),)))
    assert quotas.stored_bytes(owner) == 950


def test_deletion_frees_quota_at_once(index, owner):
    store = Store(index=index, blobs=MemoryBlobs(), signer=None, settings=Settings(quota_stored_bytes=1000))
    quotas = Quotas(index, store.settings, counting=store.byte_counter)
    made = Result(id=uuid.uuid4().hex, owner=owner, state=State.SUCCESS, artifacts=(artifact(stored_bytes=1000),))
    store.save(made)
    assert quotas.stored_bytes(owner) == 1000

    store.delete(made.id)

    assert quotas.stored_bytes(owner) == 0
    quotas.reserve_bytes(owner, "more", ttl_s=60, size_bytes=1000)


def test_bytes_count_for_longer_than_their_record(index, owner):
    store = Store(index=index, blobs=MemoryBlobs(), signer=None, settings=Settings(quota_stored_bytes=1000))
    quotas = Quotas(index, store.settings, counting=store.byte_counter)
    made = Result(id=uuid.uuid4().hex, owner=owner, state=State.SUCCESS, artifacts=(artifact(stored_bytes=900),))
    store.save(made)

    index.delete(made.id)  # as if it had expired

    with pytest.raises(Problem):
        quotas.reserve_bytes(owner, "more", ttl_s=60, size_bytes=101)


def test_expired_bytes_count_until_they_are_collected(index, owner):
    counting, now = ByteCounter(index), time.time()
    quotas = limited(index, stored_bytes=1000, counting=counting)
    for one, expires_at in (("lately", now - 3600), ("collected", now - 2 * 86_400)):
        made = artifact(stored_bytes=300, expires_at=int(expires_at))
        counting.count(Result(id=one, owner=owner, state=State.SUCCESS, artifacts=(made,)))
    until(lambda: quotas.stored_bytes(owner) == 300, "only what is not collected yet counts")


@pytest.mark.parametrize("size_bytes", [0, 7])
def test_what_was_stored_before_it_was_counted_counts(index, owner, size_bytes):
    for number in range(3):
        made = Result(id=f"{owner}-{number}", owner=owner, artifacts=(artifact(stored_bytes=size_bytes),))
        index.save(made.moved(State.SUCCESS), ttl_s=60)

    assert limited(index).stored_bytes(owner) == 3 * size_bytes


def test_two_gateways_never_exceed_the_byte_quota(redis_url, owner):
    gateways = [limited(RedisIndex(redis_url), stored_bytes=1000) for _ in range(2)]

    def taken(number: int) -> bool:
        try:
            gateways[number % 2].reserve_bytes(owner, f"up-{number}", ttl_s=60, size_bytes=300)
        except Problem:
            return False
        return True

    assert sum(at_once(20, taken)) == 3
    assert gateways[0].stored_bytes(owner) == 900


def test_rejected_upload_uses_no_byte_quota(index, owner):
    quotas = limited(index, stored_bytes=1000)
    refused = Result(id=uuid.uuid4().hex, owner=owner, state=State.FAILURE, artifacts=(artifact(stored_bytes=1000),))
    index.save(refused.moved(State.FAILURE, failure=Failure("UploadRejected", "cut short")), ttl_s=60)

    assert quotas.stored_bytes(owner) == 0


def artifact(*, stored_bytes, expires_at=None):
    return Artifact(
        id="x",
        name="a",
        file_name="a",
        key="k",
        etag="e",
        size_bytes=stored_bytes,
        media_type="text/plain",
        sha256="0" * 64,
        stored_bytes=stored_bytes,
        expires_at=expires_at,
    )


@pytest.mark.parametrize("kind", ["coming", "coming:bytes", "kept", "kept:bytes", ""])
def test_what_others_wrote_there_counts_as_nothing(redis_url, owner, kind):
    index = RedisIndex(redis_url)
    quotas = limited(index, stored_bytes=1000)
    quotas.reserve_bytes(owner, "up", ttl_s=60, size_bytes=900)
    if kind:
        index.client.set(layout.quota_key(owner, kind), "theirs")
    else:
        index.client.hset(layout.quota_key(owner, "kept:bytes"), "theirs", "no number")

    quotas.reserve_bytes(owner, "less", ttl_s=60, size_bytes=100)
