"""Outbox: the body of a chord is sent although its finisher was killed."""

import os
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis
from celery import Celery, chord
from celery.exceptions import Ignore
from kombu.exceptions import OperationalError

from resultstore.backends.celery.chord.body_sender import senders_of
from resultstore.backends.celery.chord.chord_outbox import ChordStatus
from resultstore.backends.celery.publish.dispatch_once import HEADER, check_start
from resultstore.backends.celery.task_owner import current_owner
from resultstore.model import layout
from tests.backends.celery.chord.test_chords import Body, part_ended
from tests.backends.celery.conftest import Made, start_worker


@pytest.fixture
def group_id() -> str:
    return uuid.uuid4().hex


def outbox(client: Celery) -> str:
    return client.backend.groups.chords.outbox.key


def time_passes(client: Celery, group_id: str) -> None:
    """The lease of a chord's finisher is over."""
    client.backend.client.delete(layout.group_key(group_id, ".c"))
    client.backend.client.zadd(outbox(client), {group_id: 0})


def killed_before_sending(client: Celery, group_id: str, body: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two parts, the last one counted by a finisher that gets no further."""
    client.backend.set_chord_size(group_id, 2)
    part_ended(client, group_id, body, 0, "a")
    with monkeypatch.context() as patch:
        patch.setattr(type(client.backend.groups.chords), "_finish", lambda *_: None)
        part_ended(client, group_id, body, 1, "b", root_id="root", resultstore_owner="ann")


def test_body_of_a_killed_finisher_is_sent_later(
    client: Celery, group_id: str, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
):
    body = Body(client)
    killed_before_sending(client, group_id, body, monkeypatch)
    client.backend.groups.chords.publish_due()
    assert body.sent == []
    time_passes(client, group_id)
    client.backend.groups.chords.publish_due()
    assert body.sent == [["a", "b"]]
    assert {key.decode() for key in raw.scan_iter("rs:group:*")} == {layout.group_key(group_id, ".c")}
    assert raw.zcard(outbox(client)) == 0


def test_body_sent_by_another_worker_keeps_its_root(
    client: Celery, group_id: str, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
):
    body, seen = Body(client), []
    killed_before_sending(client, group_id, body, monkeypatch)
    client.tasks[body.signature.task].apply_async = lambda *_, **__: seen.append(
        (client.current_worker_task.request.root_id, client.current_worker_task.request.id, current_owner())
    )
    time_passes(client, group_id)
    client.backend.groups.chords.publish_due()
    assert seen == [("root", f"{group_id}-1", "ann")]
    assert client.current_worker_task is None


def test_one_of_many_workers_sends_the_body(
    made: Made, group_id: str, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
):
    clients = [made() for _ in range(3)]
    bodies = [Body(client) for client in clients]
    killed_before_sending(clients[0], group_id, bodies[0], monkeypatch)
    for client in clients[1:]:
        client.tasks.register(clients[0].tasks[bodies[0].signature.task])
    time_passes(clients[0], group_id)
    for client in clients:
        client.backend.groups.chords.publish_due()
    assert bodies[0].sent == [["a", "b"]]


def test_redelivered_header_task_finishes_the_chord(
    client: Celery, group_id: str, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
):
    body = Body(client)
    killed_before_sending(client, group_id, body, monkeypatch)
    part_ended(client, group_id, body, 1, "b")
    assert body.sent == []
    time_passes(client, group_id)
    part_ended(client, group_id, body, 1, "b")
    assert body.sent == [["a", "b"]]


def test_chord_is_listed_before_its_last_part_counts(
    client: Celery, group_id: str, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
):
    """Killed between the two, the part is not counted: its message comes again, and then the body is sent."""
    body, chords = Body(client), client.backend.groups.chords
    client.backend.set_chord_size(group_id, 1)
    monkeypatch.setattr(chords.outbox, "add", lambda group_id: raw.zadd(outbox(client), {group_id: 0}) and 1 / 0)
    with pytest.raises(ZeroDivisionError):
        part_ended(client, group_id, body, 0, "a")
    assert raw.exists(layout.group_key(group_id, ".j")) == 0
    assert chords.dispatch(group_id) is ChordStatus.OPEN
    monkeypatch.undo()
    part_ended(client, group_id, body, 0, "a")
    assert body.sent == [["a"]]


def test_other_apps_chords_are_left_alone(made: Made):
    places = {outbox(made(broker_url=url)) for url in ("memory://", "amqp://a@host//", "amqp://a:b@host//one")}
    renamed = made()
    renamed.main = "another"
    assert len(places | {outbox(renamed)}) == 4
    assert outbox(made(broker_url="amqp://a:secret@host//")) in places


def test_a_chord_that_expired_leaves_the_list(client: Celery, group_id: str, raw: redis.Redis):
    raw.zadd(outbox(client), {group_id: 0})
    client.backend.groups.chords.publish_due()
    assert raw.zcard(outbox(client)) == 0


def test_body_waits_for_an_unavailable_broker(client: Celery, group_id: str, raw: redis.Redis):
    body = Body(client)
    task = client.tasks[body.signature.task]
    send, task.apply_async = task.apply_async, _refused
    client.backend.set_chord_size(group_id, 1)
    part_ended(client, group_id, body, 0, "a")
    assert client.AsyncResult(body.signature.id).state == "PENDING"
    task.apply_async = send
    time_passes(client, group_id)
    client.backend.groups.chords.publish_due()
    assert body.sent == [["a"]]


def _refused(*_: object, **__: object) -> None:
    raise OperationalError("the broker is away")


def test_only_the_first_started_dispatch_runs(client: Celery):
    class Request:
        id = uuid.uuid4().hex

    keys = client.backend.store.index.keys
    # Its message may be redelivered; and a body may be replaced by a chord whose body has its id.
    for token in ("chord:first", "chord:first", "replaced:by another"):
        setattr(Request, HEADER, token)
        check_start(Request, keys, life_s=60)
    setattr(Request, HEADER, "chord:second")
    with pytest.raises(Ignore):
        check_start(Request, keys, life_s=60)


@contextmanager
def a_worker(environment: dict[str, str], killed: str) -> Iterator[str]:
    """Gives the queue of a worker whose finishers are killed once."""
    queue = f"queue-{uuid.uuid4().hex}"
    added = {"RS_TEST_QUEUE": queue, "RS_TEST_KILLED": killed, "RS_TEST_LEASE_S": "2"}
    with tempfile.TemporaryFile() as log:
        process = start_worker(environment | added, log)
        try:
            yield queue
        finally:
            # Not asked to end: a warm shutdown may wait for the job of a process that was killed.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)
            log.seek(0)
            sys.stdout.write(log.read().decode(errors="replace")[-8_000:])


@pytest.mark.parametrize("killed", ["before the broker has the body", "after the broker has the body"])
def test_body_runs_once_after_sigkill_of_its_finisher(app: Celery, environment: dict[str, str], killed: str):
    add, counter = app.tasks["worker_app.add"], f"rs-test-{uuid.uuid4().hex}"
    body = app.tasks["worker_app.counted"].s(counter)
    with a_worker(environment, killed) as queue:
        header = [add.s(n, 1).set(queue=queue) for n in range(3)]
        result = chord(header, body.set(queue=queue))()
        assert result.get(timeout=60, propagate=False, disable_sync_subtasks=False) == 1
        wait_until(lambda: app.backend.client.exists(f"killed:{result.id}"))
        its_app = Celery(f"worker_app {queue}", broker=environment["RS_TEST_AMQP_URL"], set_as_current=False)
        listed = layout.outbox_key(senders_of(its_app))
        wait_until(lambda: app.backend.client.zscore(listed, result.parent.id) is None)
        for sent in [add.apply_async((n, n), queue=queue) for n in range(4)]:  # after a second body, if there is one
            sent.get(timeout=30)
        assert int(app.backend.client.get(counter)) == 1
    app.backend.client.delete(counter)


def wait_until(holds, timeout_s: float = 30) -> None:
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_unreadable_chord_does_not_block_others(
    client: Celery, group_id: str, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
):
    body, bad = Body(client), f"0-{group_id}"  # of the same age it comes first
    killed_before_sending(client, group_id, body, monkeypatch)
    raw.set(layout.group_key(bad, ".b"), "not JSON")
    raw.set(layout.group_key(bad, ".s"), 2)
    time_passes(client, group_id)
    time_passes(client, bad)
    client.backend.groups.chords.publish_due()
    assert body.sent == [["a", "b"]]
