"""What Celery's own suite asks of a Redis backend, pinned here beside the rest: it takes hours, this takes a second."""

import uuid

import pytest
import redis
from celery import Celery, chord, states
from celery.app.task import Context
from celery.exceptions import ChordError

from resultstore.model import layout
from tests.backends.celery.chord.test_chord_outbox import wait_until
from tests.backends.celery.chord.test_chords import Body, part_ended
from tests.backends.celery.conftest import Made


def test_parents_error_is_raised_before_its_childs(client: Celery, monkeypatch: pytest.MonkeyPatch):
    parent, child = client.AsyncResult(uuid.uuid4().hex), client.AsyncResult(uuid.uuid4().hex)
    child.parent = parent
    consumer = client.backend.result_consumer
    look = consumer.on_wait_for_pending

    def fail_and_look(*args: object, **kwargs: object) -> None:
        client.backend.store_result(parent.id, ValueError("header"), states.FAILURE)
        client.backend.store_result(child.id, ChordError("body"), states.FAILURE)
        look(*args, **kwargs)

    monkeypatch.setattr(consumer, "on_wait_for_pending", fail_and_look)
    with pytest.raises(ValueError, match="header"):
        child.get(timeout=5)
    with pytest.raises(ChordError, match="body"):
        client.AsyncResult(child.id).get(timeout=5)


@pytest.mark.parametrize("ordered", [True, False])
def test_part_of_an_older_worker_is_counted(made: Made, ordered: bool, raw: redis.Redis):
    client, group_id = made(result_backend_transport_options={"result_chord_ordered": ordered}), uuid.uuid4().hex
    body, key = Body(client), layout.group_key(group_id, ".j")
    client.backend.set_chord_size(group_id, 2)
    part = client.backend.encode([1, "of an older worker", states.SUCCESS, "old"])
    if ordered:
        raw.zadd(key, {part: 0})
    else:
        raw.rpush(key, part)
    part_ended(client, group_id, body, 1, "new")
    assert body.sent == [["old", "new"]]


@pytest.mark.parametrize("outcome", [0, ValueError("first run")])
def test_reapplied_frozen_chord_starts_again(client: Celery, outcome: object):
    """Celery says the size with the last header task that it sends; the first may have ended by then."""
    group_id = uuid.uuid4().hex
    body = Body(client)
    for first in (outcome, 0):
        client.backend.apply_chord(
            (group_id, [client.AsyncResult(f"{group_id}-{n}") for n in range(2)]), body.signature
        )
        part_ended(client, group_id, body, 0, first)
        client.backend.set_chord_size(group_id, 2)
        part_ended(client, group_id, body, 1, 1)
    assert body.sent == [[0, 1]] * (1 if outcome else 2)


def test_backend_names_keys_of_tasks_and_chords(client: Celery, raw: redis.Redis):
    backend, task_id, group_id = client.backend, uuid.uuid4().hex, uuid.uuid4().hex
    backend.store_result(task_id, 1, states.SUCCESS)
    backend.set_chord_size(group_id, 7)
    assert backend.client.exists(backend.get_key_for_task(task_id))
    assert backend.client.get(backend.get_key_for_group(group_id, ".s")) == b"7"
    assert {backend.get_key_for_task(task_id), backend.get_key_for_group(group_id, ".s")} <= set(raw.keys())


def test_started_consumer_lists_its_subscriptions(client: Celery):
    consumer, first, second = client.backend.result_consumer, uuid.uuid4().hex, uuid.uuid4().hex
    consumer.start(first)
    consumer.expect(second)
    consumer.cancel_for(second)
    assert consumer.subscribed_to == {client.backend.get_key_for_task(first)}


def test_signature_without_a_chord_is_no_part(client: Celery, raw: redis.Redis):
    task_id = uuid.uuid4().hex
    client.backend.mark_as_done(task_id, 1, request=Context(id=task_id, group=None, chord=None, children=[]))
    assert raw.keys("rs:group:*") == []


@pytest.mark.usefixtures("worker")
class TestWithAWorker:
    """Over RabbitMQ, with the worker of this folder, which is set up."""

    def test_a_body_may_be_replaced_by_a_group(self, app: Celery):
        add, spread = app.tasks["worker_app.add"], app.tasks["worker_app.spread"]
        assert chord([add.s(1, 1), add.s(2, 2)], spread.s())().get(timeout=20) == [3, 5]

    def test_frozen_chord_runs_its_body_each_time(self, app: Celery):
        counter = f"rs-test-{uuid.uuid4().hex}"
        frozen = chord(
            [app.tasks["worker_app.add"].s(n, n) for n in range(2)], app.tasks["worker_app.counted"].s(counter)
        )
        frozen.freeze()
        for times in (1, 2):
            frozen.apply_async()
            wait_until(lambda times=times: int(app.backend.client.get(counter) or 0) == times)
        assert int(app.backend.client.getdel(counter)) == 2

    def test_errback_called_as_a_function_gets_values(self, app: Celery):
        where, fails = uuid.uuid4().hex, app.tasks["worker_app.fails"]
        fails.apply_async(("why",), link_error=app.tasks["worker_app.measured"].s(where, "v" * 100_000))
        assert app.AsyncResult(where).get(timeout=20) == 100_000
