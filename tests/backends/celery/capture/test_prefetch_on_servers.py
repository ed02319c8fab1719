"""Prefetching: a value is fetched while it is being sealed, and given out once a record names it."""

import threading
import time
import uuid
from pathlib import Path

import pytest
import redis
from celery import Celery, states
from celery.exceptions import TimeoutError as CeleryTimeoutError
from msgspec.structs import replace

from resultstore import ArtifactMissing
from resultstore.model import layout
from resultstore.model.spill import Spill
from resultstore.store.attempt import Attempt
from tests.backends.celery.conftest import Made
from tests.backends.celery.waiters import Waiter, listening, send

LARGE = "v" * 100_000


class Asked:
    """Notes which thread asked for which blob."""

    def __init__(self, app: Celery, patch: pytest.MonkeyPatch) -> None:
        self.by: list[tuple[str, str]] = []
        blobs = app.backend.store.blobs
        get = blobs.get

        def noted(key: str, **where: object):
            if key.startswith("blobs/"):
                self.by.append((key, threading.current_thread().name))
            return get(key, **where)

        patch.setattr(blobs, "get", noted)

    def until(self, count: int) -> None:
        end = time.monotonic() + 5
        while len(self.by) < count:
            assert time.monotonic() < end, self.by
            time.sleep(0.01)


@pytest.fixture
def client(made: Made, tmp_path: Path) -> Celery:
    return made(f"?blobs=file://{tmp_path}")


@pytest.fixture
def asked(client: Celery, monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(client, monkeypatch)


def kept(app: Celery, task_id: str, value: object = LARGE) -> Spill:
    attempt = Attempt(task_id, task="tasks.large", owner="")
    return app.backend.spills.keep_value([app.backend.encoded(value)], attempt=attempt, media_type="application/json")


def told(app: Celery, raw: redis.Redis, task_id: str, spill: Spill) -> Waiter:
    """A waiter that has received the early announcement of its value."""
    waiter = Waiter(app, task_id)
    listening(raw, task_id)
    time.sleep(0.1)  # later than the check after 50 ms
    app.backend.store.index.events.announce_early(task_id, spill)
    return waiter


@pytest.mark.usefixtures("worker")
def test_value_can_be_fetched_while_the_worker_seals(app: Celery, monkeypatch: pytest.MonkeyPatch):
    asked = Asked(app, monkeypatch)
    values = [app.tasks["worker_app.large_value"].delay(n + 1_000_000).get(timeout=30) for n in range(5)]

    assert [len(value) for value in values] == [n + 1_000_000 for n in range(5)]
    assert [thread for _, thread in asked.by] == ["resultstore-prefetch"] * 5


def test_prefetched_value_is_returned_once_recorded(client: Celery, raw: redis.Redis, asked: Asked, task_id: str):
    spill = kept(client, task_id)
    waiter = told(client, raw, task_id, spill)
    asked.until(1)
    assert waiter.is_alive()

    client.backend.store_result(task_id, spill, states.SUCCESS)

    assert waiter.within(5) == LARGE
    assert asked.by == [(spill.key, "resultstore-prefetch")]
    assert client.AsyncResult(task_id).get(timeout=5) == LARGE, "another one fetches its own"
    assert len(asked.by) == 2


def test_unsealed_value_is_never_returned(client: Celery, raw: redis.Redis, asked: Asked, task_id: str):
    spill = kept(client, task_id)
    waiter = told(client, raw, task_id, spill)
    asked.until(1)
    client.backend.store_result(task_id, ValueError("lost its seal"), states.FAILURE)

    assert isinstance(waiter.within(5), ValueError)

    other = uuid.uuid4().hex
    client.backend.store.index.events.announce_early(other, kept(client, other))
    with pytest.raises(CeleryTimeoutError):
        client.AsyncResult(other).get(timeout=0.5)


def test_value_of_another_sealed_attempt_is_read(client: Celery, raw: redis.Redis, asked: Asked, task_id: str):
    waiter = told(client, raw, task_id, kept(client, task_id, "late" + LARGE))
    asked.until(1)
    first = kept(client, task_id, "first" + LARGE)
    client.backend.store_result(task_id, first, states.SUCCESS)

    assert waiter.within(5) == "first" + LARGE
    assert asked.by[1][0] == first.key


@pytest.mark.parametrize("key", [None, layout.blob_key("x", retention="1d", nonce="0" * 32, n=0), "seals/00/x"])
def test_failed_prefetch_is_read_later(client: Celery, raw: redis.Redis, asked: Asked, task_id: str, key: str | None):
    spill = kept(client, task_id)
    forged = replace(spill, sha256="0" * 64) if key is None else replace(spill, key=key)
    waiter = told(client, raw, task_id, forged)
    time.sleep(0.1)
    client.backend.store_result(task_id, spill, states.SUCCESS)

    assert waiter.within(5) == LARGE
    assert asked.by[-1][0] == spill.key


def test_missing_value_raises_the_usual_error(client: Celery, raw: redis.Redis, asked: Asked, task_id: str):
    spill = kept(client, task_id)
    client.backend.store.blobs.delete([spill.key])
    waiter = told(client, raw, task_id, spill)
    asked.until(1)
    client.backend.store_result(task_id, spill, states.SUCCESS)

    assert isinstance(waiter.within(5), ArtifactMissing)


def test_waiters_for_several_results_prefetch_nothing(client: Celery, raw: redis.Redis, asked: Asked):
    ids = [uuid.uuid4().hex for _ in range(2)]
    waiters = [Waiter(client, one) for one in ids]
    for one in ids:
        listening(raw, one)
    time.sleep(0.1)
    spills = [kept(client, one) for one in ids]
    for one, spill in zip(ids, spills, strict=True):
        client.backend.store.index.events.announce_early(one, spill)
    time.sleep(0.2)
    assert asked.by == []

    for one, spill in zip(ids, spills, strict=True):
        client.backend.store_result(one, spill, states.SUCCESS)
    assert [waiter.within(5) for waiter in waiters] == [LARGE, LARGE]


def test_an_early_word_calls_no_on_message(client: Celery, raw: redis.Redis, task_id: str):
    heard: list[str] = []
    client.backend.store_result(task_id, None, states.STARTED)
    result = send(client, task_id)
    listening(raw, task_id)
    index = client.backend.store.index
    threading.Timer(0.2, index.events.announce_early, [task_id, kept(client, task_id)]).start()
    threading.Timer(0.4, client.backend.store_result, [task_id, "small", states.SUCCESS]).start()

    got = result.get(timeout=5, on_message=lambda meta: heard.append(meta["status"]))

    assert (got, heard) == ("small", [states.SUCCESS])


def test_small_record_is_announced_whole(client: Celery, raw: redis.Redis, task_id: str):
    value = "beside" * 100  # over the 512 bytes that fit in the record
    kept_alive = send(client, task_id)
    listening(raw, task_id)
    waiter = Waiter(client, task_id)
    time.sleep(0.1)
    raw.config_resetstat()
    client.backend.store_result(task_id, value, states.SUCCESS)

    assert waiter.within(5) == value
    assert "cmdstat_mget" not in raw.info("commandstats")
    assert kept_alive.get() == value
