"""Announcing: records and subscriptions that are made before a task's message is sent."""

import gc
import threading
import time
import uuid

import pytest
import redis
from celery import Celery, chord, group, states

from resultstore.model.result import Result, State
from tests.backends.celery.conftest import Made
from tests.backends.celery.waiters import WOKEN_S, hear_announcements_only, listening, send, silent

OWNED = {"resultstore_owner": "ann"}


def found(app: Celery, task_id: str) -> Result:
    """Return its record, which was written without waiting."""
    end = time.monotonic() + 5
    while (result := app.backend.store.index.peek(task_id)) is None:
        assert time.monotonic() < end
        time.sleep(0.005)
    return result


def test_waiting_work_has_its_owner_before_it_runs(made: Made, task_id: str):
    app = made("?blobs=memory://")
    kept_alive = send(app, task_id, headers=OWNED)
    assert (found(app, kept_alive.id).state, found(app, task_id).owner) == (State.PENDING, "ann")


def test_sent_record_has_its_owner(made: Made, task_id: str):
    app = made(resultstore_track_sent=True)
    results = [send(app, task_id, headers=OWNED), send(app, uuid.uuid4().hex)]
    assert [app.backend.store.index.peek(one.id).owner for one in results] == ["ann", ""]
    assert [one.state for one in results] == ["SENT"] * 2


@pytest.mark.parametrize("protocol", [1, 2])
@pytest.mark.parametrize("track", [False, True])
def test_waiting_work_names_its_task(made: Made, task_id: str, protocol: int, track: bool):
    app = made("?blobs=memory://", resultstore_track_sent=track, task_protocol=protocol)
    kept_alive = [app.send_task("invoices.make", task_id=task_id)]
    kept_alive += [app.send_task("invoices.make", task_id=f"owned-{task_id}", headers=OWNED)]
    assert [found(app, one.id).task for one in kept_alive] == ["invoices.make"] * 2


def test_sent_never_replaces_the_state_of_begun_work(made: Made, task_id: str):
    app = made(resultstore_track_sent=True)
    app.backend.store_result(task_id, None, states.RETRY)
    assert send(app, task_id, headers=OWNED).state == states.RETRY


def test_group_members_are_subscribed_to_when_waited_for(client: Celery, raw: redis.Redis):
    raw.config_resetstat()
    result = group(client.signature("not.taken", queue="unused") for _ in range(5))()
    assert "cmdstat_subscribe" not in raw.info("commandstats")
    client.backend.store_result(result[0].id, 0, states.SUCCESS)

    got: list[list[int]] = []
    waiter = threading.Thread(target=lambda: got.append(result.get(timeout=5)), daemon=True)
    waiter.start()
    for one in result[1:]:
        listening(raw, one.id)
    assert raw.info("commandstats")["cmdstat_subscribe"]["calls"] == 1
    for number, one in enumerate(result[1:], 1):
        client.backend.store_result(one.id, number, states.SUCCESS)
    waiter.join(5)

    assert got == [[0, 1, 2, 3, 4]]
    silent(raw)


def test_chord_parts_are_subscribed_to_when_sent(client: Celery, raw: redis.Redis):
    parts = [client.signature("not.taken", queue="unused") for _ in range(2)]
    kept_alive = chord(parts)(client.signature("not.taken", queue="unused"))
    assert raw.info("commandstats")["cmdstat_subscribe"]["calls"] == len(parts)
    assert kept_alive.state == states.PENDING


def test_single_group_member_can_be_waited_for(client: Celery, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch):
    hear_announcements_only(monkeypatch)
    result = group(client.signature("not.taken", queue="unused") for _ in range(2))()
    threading.Timer(0.3, client.backend.store_result, [result[1].id, "second", states.SUCCESS]).start()
    assert result[1].get(timeout=WOKEN_S) == "second"
    del result  # until then the group itself waits for its other member
    gc.collect()
    silent(raw)


def test_task_is_subscribed_to_among_other_messages(made: Made, raw: redis.Redis):
    one, other = made(), made()
    one.conf.task_protocol = 1  # whose messages have no headers
    results = [send(one, uuid.uuid4().hex), send(other, uuid.uuid4().hex)]
    for result in results:
        listening(raw, result.id)
    assert send(other, uuid.uuid4().hex, ignore_result=True).id not in str(raw.pubsub_channels())
