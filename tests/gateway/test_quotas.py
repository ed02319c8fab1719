"""Quotas: how much one owner may have, and that others do not suffer for it."""

import uuid

import pytest

from resultstore.gateway.problems import Problem
from resultstore.gateway.quotas import Kind, Quotas
from resultstore.index.memory import MemoryIndex
from resultstore.index.redis import RedisIndex
from resultstore.model.artifact import Artifact
from resultstore.model.result import Failure, Result, State
from resultstore.settings import Settings


@pytest.fixture(params=["memory", "redis"])
def index(request):
    return MemoryIndex() if request.param == "memory" else RedisIndex(request.getfixturevalue("redis_url"))


@pytest.fixture
def owner():
    return f"owner-{uuid.uuid4().hex}"


def limited(index, **most):
    return Quotas(index, Settings(**{f"quota_{name}": value for name, value in most.items()}))


@pytest.mark.parametrize("kind", list(Kind))
def test_one_more_than_allowed_is_refused_and_told_when_to_come_back(index, owner, kind):
    quotas = limited(index, **{kind: 2})
    quotas.take(kind, owner, "a", ttl_s=60)
    quotas.take(kind, owner, "b", ttl_s=60)

    with pytest.raises(Problem) as refused:
        quotas.take(kind, owner, "c", ttl_s=60)

    assert (refused.value.status, refused.value.slug) == (429, "quota")
    assert int(refused.value.headers["Retry-After"]) > 0
    quotas.take(kind, owner, "a", ttl_s=60)
    quotas.take(kind, owner + "-other", "c", ttl_s=60)


def test_work_that_has_ended_makes_room_without_saying_so(index, owner):
    quotas = limited(index, running=1)
    done = Result(id=uuid.uuid4().hex, owner=owner)
    quotas.take(Kind.RUNNING, owner, done.id, ttl_s=60)
    with pytest.raises(Problem):
        quotas.take(Kind.RUNNING, owner, "next", ttl_s=60)

    index.save(done.moved(State.SUCCESS), ttl_s=60)

    quotas.take(Kind.RUNNING, owner, "next", ttl_s=60)


def test_two_gateways_count_together(redis_url, owner):
    one, other = (limited(RedisIndex(redis_url), tickets=1) for _ in range(2))
    one.take(Kind.TICKETS, owner, "a", ttl_s=60)

    with pytest.raises(Problem):
        other.take(Kind.TICKETS, owner, "b", ttl_s=60)


def test_stored_bytes_are_what_artifacts_take_and_what_uploads_will_bring(index, owner):
    quotas = limited(index, stored_bytes=1000)
    made = Result(id=uuid.uuid4().hex, owner=owner, state=State.SUCCESS, artifacts=(artifact(stored_bytes=600),))
    index.save(made, ttl_s=60)
    quotas.take(Kind.TICKETS, owner, "up", ttl_s=60, size_bytes=300)

    with pytest.raises(Problem):
        quotas.take(Kind.TICKETS, owner, "more", ttl_s=60, size_bytes=101)

    assert quotas.stored_bytes(owner) == 900
    quotas.take(Kind.TICKETS, owner, "less", ttl_s=60, size_bytes=100)


def test_an_upload_that_becomes_work_counts_once(index, owner):
    quotas = limited(index, stored_bytes=1000)
    quotas.take(Kind.TICKETS, owner, "up", ttl_s=60, size_bytes=900)

    quotas.take(Kind.RUNNING, owner, "up", ttl_s=60, size_bytes=900)
    quotas.leave(Kind.TICKETS, owner, "up")

    assert quotas.stored_bytes(owner) == 900


def test_what_was_deleted_makes_room_at_once(index, owner):
    quotas = limited(index, stored_bytes=1000)
    made = Result(id=uuid.uuid4().hex, owner=owner, state=State.SUCCESS, artifacts=(artifact(stored_bytes=1000),))
    index.save(made, ttl_s=60)
    assert quotas.stored_bytes(owner) == 1000

    index.delete(made.id)
    quotas.recount(owner)

    assert quotas.stored_bytes(owner) == 0


def test_a_refused_upload_whose_bytes_are_gone_takes_no_room(index, owner):
    quotas = limited(index, stored_bytes=1000)
    refused = Result(id=uuid.uuid4().hex, owner=owner, state=State.FAILURE, artifacts=(artifact(stored_bytes=1000),))
    index.save(refused.moved(State.FAILURE, failure=Failure("UploadRejected", "cut short")), ttl_s=60)

    assert quotas.stored_bytes(owner) == 0


def artifact(*, stored_bytes):
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
    )
