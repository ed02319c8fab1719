"""Chords: a body is sent once, with every part, however the header's tasks end."""

import threading
import uuid

import pytest
import redis
from celery import Celery, chain, chord, group, states
from celery.app.task import Context
from celery.exceptions import ChordError

from resultstore.backends.celery.chord.chords import INLINE_MAX_BYTES
from resultstore.model import layout
from tests.backends.celery.conftest import Made


class Body:
    """A chord's body whose sending is seen."""

    def __init__(self, client: Celery) -> None:
        self.sent: list[object] = []
        body = self

        @client.task(name=f"body-{uuid.uuid4().hex}", ignore_result=True)
        def collect(values: object) -> None:
            """Never run: sent only."""

        collect.apply_async = lambda args=None, *_, **__: body.sent.append(args[0])
        self.signature = collect.s()
        self.signature.freeze()


def part_ended(client: Celery, group_id: str, body: Body, index: int, value: object, **more: object) -> Context:
    """What a worker does at the end of a header task."""
    task_id = more.pop("id", f"{group_id}-{index}")
    request = Context(
        id=task_id, group=group_id, group_index=index, chord=body.signature, task="part", children=[], **more
    )
    if isinstance(value, Exception):
        client.backend.mark_as_failure(task_id, value, request=request)
    else:
        client.backend.mark_as_done(task_id, value, request=request)
    return request


@pytest.fixture
def group_id() -> str:
    return uuid.uuid4().hex


@pytest.mark.parametrize("ordered", [True, False])
def test_body_gets_all_parts_after_the_last(made: Made, group_id: str, ordered: bool, raw: redis.Redis):
    client = made(result_backend_transport_options={"result_chord_ordered": ordered})
    body = Body(client)
    client.backend.set_chord_size(group_id, 3)
    for index in (2, 0, 1):
        assert body.sent == []
        part_ended(client, group_id, body, index, index * 10)
    assert body.sent == [[0, 10, 20] if ordered else [20, 0, 10]]
    left = {key.decode() for key in raw.scan_iter("rs:group:*")}
    assert left == {layout.group_key(group_id, ".c")}  # by which late copies are known


def test_redelivered_part_is_counted_once(client: Celery, group_id: str):
    body = Body(client)
    client.backend.set_chord_size(group_id, 2)
    for value in ("first", "again"):
        part_ended(client, group_id, body, 0, value)
    assert body.sent == []
    part_ended(client, group_id, body, 1, "other")
    assert body.sent == [["first", "other"]]
    part_ended(client, group_id, body, 0, "late")
    part_ended(client, group_id, body, 1, "late")
    assert len(body.sent) == 1


def test_one_task_may_be_in_a_header_twice(client: Celery, group_id: str):
    body = Body(client)
    client.backend.set_chord_size(group_id, 2)
    part_ended(client, group_id, body, 0, "same", id="twin")
    part_ended(client, group_id, body, 1, "same", id="twin")
    assert body.sent == [["same", "same"]]


def test_one_of_simultaneous_finishers_sends_the_body(client: Celery, group_id: str):
    body = Body(client)
    client.backend.set_chord_size(group_id, 20)
    threads = [threading.Thread(target=part_ended, args=(client, group_id, body, n, n)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert body.sent == [list(range(20))]


def test_large_values_stay_out_of_the_part_list(client: Celery, group_id: str, raw: redis.Redis):
    body = Body(client)
    client.backend.set_chord_size(group_id, 3)
    part_ended(client, group_id, body, 0, "a" * 1_000_000)
    part_ended(client, group_id, body, 1, "b" * (INLINE_MAX_BYTES + 1))
    assert raw.memory_usage(layout.group_key(group_id, ".j"), samples=0) < 2_000
    part_ended(client, group_id, body, 2, "c")
    assert body.sent == [["a" * 1_000_000, "b" * (INLINE_MAX_BYTES + 1), "c"]]


def test_ignored_result_is_in_the_part_list(client: Celery, group_id: str):
    body = Body(client)
    client.backend.set_chord_size(group_id, 1)
    part_ended(client, group_id, body, 0, "i" * 100_000, ignore_result=True)
    assert body.sent == [["i" * 100_000]]


def test_parts_are_read_in_one_round_trip(client: Celery, group_id: str, raw: redis.Redis):
    body = Body(client)
    client.backend.set_chord_size(group_id, 50)
    for index in range(49):
        part_ended(client, group_id, body, index, str(index) * 2_000)
    raw.config_resetstat()
    part_ended(client, group_id, body, 49, "last")
    assert len(body.sent[0]) == 50
    calls = raw.info("commandstats")
    assert calls["cmdstat_zrange"]["calls"] == 1
    assert calls["cmdstat_mget"]["calls"] == 3  # two of them inside the script that counts


@pytest.mark.parametrize("large", ["", "x" * 5_000])
def test_failed_part_fails_the_body_with_its_cause(client: Celery, group_id: str, large: str):
    body = Body(client)
    client.backend.set_chord_size(group_id, 2)
    part_ended(client, group_id, body, 0, ValueError("broken" + large))
    part_ended(client, group_id, body, 1, 1)
    assert body.sent == []
    result = client.AsyncResult(body.signature.id)
    with pytest.raises(ChordError, match=f"Dependency {group_id}-0 raised ValueError"):
        result.get(timeout=5)


def test_stored_part_of_a_lost_process_is_counted(client: Celery, group_id: str):
    body = Body(client)
    client.backend.set_chord_size(group_id, 2)
    stored = Context(id=f"{group_id}-0", group=group_id, group_index=0, chord=body.signature, task="part", children=[])
    client.backend.store_result(stored.id, "stored", states.SUCCESS, request=stored)  # killed before it counted
    part_ended(client, group_id, body, 1, "other")
    assert body.sent == []

    for _ in range(2):
        client.backend.count_stored_part(stored)
    assert body.sent == [["stored", "other"]]


def test_later_link_that_failed_uncounted_fails_the_chord(client: Celery, group_id: str):
    body = Body(client)
    client.backend.set_chord_size(group_id, 1)
    link = client.signature("part")
    link.freeze()
    link.options |= {"chord": body.signature, "group_id": group_id, "group_index": 0}
    client.backend.mark_as_failure(link.id, ValueError("broken"), call_errbacks=False)  # killed before it counted

    client.backend._fail_chain([dict(link)], ValueError("broken"))

    assert client.AsyncResult(body.signature.id).state == states.FAILURE


def test_late_copy_does_not_fail_the_chord_again(client: Celery, group_id: str):
    body = Body(client)
    client.backend.set_chord_size(group_id, 1)
    part_ended(client, group_id, body, 0, ValueError("broken"))
    client.AsyncResult(body.signature.id).forget()
    part_ended(client, group_id, body, 0, ValueError("broken"))
    assert client.AsyncResult(body.signature.id).state == states.PENDING


def test_missing_value_of_a_part_fails_the_body(client: Celery, group_id: str):
    body = Body(client)
    client.backend.set_chord_size(group_id, 2)
    part_ended(client, group_id, body, 0, "v" * 5_000)
    client.backend.store.index.delete(f"{group_id}-0")
    part_ended(client, group_id, body, 1, 1)
    with pytest.raises(ChordError, match=f"{group_id}-0 is not stored any more"):
        client.AsyncResult(body.signature.id).get(timeout=5)


def test_a_body_that_cannot_be_sent_fails(client: Celery, group_id: str):
    body = Body(client)

    def refuse(*_: object, **__: object) -> None:
        raise OSError("broker is away")

    client.tasks[body.signature.task].apply_async = refuse
    client.backend.set_chord_size(group_id, 1)
    part_ended(client, group_id, body, 0, 1)
    with pytest.raises(ChordError, match="broker is away"):
        client.AsyncResult(body.signature.id).get(timeout=5)


def test_lost_answer_does_not_lose_the_body(client: Celery, group_id: str, monkeypatch: pytest.MonkeyPatch):
    """The script runs twice with one token, as after a broken connection."""
    body, kind = Body(client), type(client.backend.store.index.keys)
    client.backend.set_chord_size(group_id, 1)
    run = kind.run_script

    def run_twice(self, script, *, keys, args):
        run(self, script, keys=keys, args=args)
        return run(self, script, keys=keys, args=args)

    monkeypatch.setattr(kind, "run_script", run_twice)
    part_ended(client, group_id, body, 0, 1)
    assert body.sent == [[1]]


def test_a_frozen_chord_may_be_applied_again(client: Celery, group_id: str):
    body = Body(client)
    for _ in range(2):
        client.backend.set_chord_size(group_id, 2)
        part_ended(client, group_id, body, 0, 0)
        part_ended(client, group_id, body, 1, 1)
    assert body.sent == [[0, 1], [0, 1]]


def test_added_part_is_waited_for(client: Celery, group_id: str):
    body = Body(client)
    client.backend.set_chord_size(group_id, 1)
    client.backend.add_to_chord(group_id, None)
    part_ended(client, group_id, body, 0, 0)
    assert body.sent == []
    part_ended(client, group_id, body, 1, 1)
    assert body.sent == [[0, 1]]


def test_chord_keys_live_for_result_chord_expires(made: Made, group_id: str, raw: redis.Redis):
    client = made(result_chord_expires=600, result_expires=60)
    client.backend.set_chord_size(group_id, 2)
    part_ended(client, group_id, Body(client), 0, 0)
    for part in (".s", ".j", ".d"):
        assert 500 < raw.ttl(layout.group_key(group_id, part)) <= 600


@pytest.mark.usefixtures("worker")
class TestWithAWorker:
    """Over RabbitMQ, with the worker of this folder."""

    def test_chords_in_a_chord(self, app: Celery):
        add, total = app.tasks["worker_app.add"], app.tasks["worker_app.total"]
        inner = [chord([add.s(n, 1), add.s(n, 2)], total.s()) for n in range(3)]
        assert chord(inner, total.s())().get(timeout=30) == sum(2 * n + 3 for n in range(3))

    def test_group_in_a_header_returns_all_values(self, app: Celery):
        add, shape = app.tasks["worker_app.add"], app.tasks["worker_app.shape"]
        header = [add.s(1, 1), group(add.s(2, 2), add.s(3, 3))]
        assert sorted(chord(header, shape.s())().get(timeout=30)) == [2, 4, 6]

    def test_a_chord_in_a_header_keeps_its_place(self, app: Celery):
        add, shape = app.tasks["worker_app.add"], app.tasks["worker_app.shape"]
        header = [add.s(1, 1), chord([add.s(2, 2), add.s(3, 3)], shape.s())]
        assert chord(header, shape.s())().get(timeout=30) == [2, [4, 6]]

    def test_groups_in_a_chain(self, app: Celery):
        add, total = app.tasks["worker_app.add"], app.tasks["worker_app.total"]
        workflow = chain(add.s(1, 1), group(add.s(1), add.s(2)), total.s(), group(add.s(1), add.s(2)))
        assert workflow().get(timeout=30) == [8, 9]

    def test_failed_link_wakes_waiters_of_the_next_group(self, app: Celery):
        """Each of its ids, and those of its nested results (Celery #6437)."""
        add, fails = app.tasks["worker_app.add"], app.tasks["worker_app.fails"]
        awaited = [add.si(n, n).set(task_id=uuid.uuid4().hex) for n in range(4)]
        behind = group(awaited[0], chain(awaited[1], awaited[2]), group(awaited[3]))
        result = chain(fails.si("link"), behind).apply_async()
        with pytest.raises(ValueError, match="link"):
            result.get(timeout=30)
        for one in awaited:
            with pytest.raises(ValueError, match="link"):
                app.AsyncResult(one.options["task_id"]).get(timeout=30)

    def test_large_parts_reach_the_body(self, app: Celery):
        large, lengths = app.tasks["worker_app.large_value"], app.tasks["worker_app.lengths"]
        sizes = [10, 5_000, 100_000, 1_000_000]
        assert chord((large.s(size) for size in sizes), lengths.s())().get(timeout=60) == sizes

    def test_waiter_of_a_body_gets_the_headers_error(self, app: Celery):
        """Celery raises a parent's error, where it knows the parent, rather than the body's."""
        add, fails = app.tasks["worker_app.add"], app.tasks["worker_app.fails"]
        with pytest.raises(ValueError, match="part"):
            chord([add.s(1, 1), fails.s("part")], app.tasks["worker_app.total"].s())().get(timeout=30)

    def test_errback_of_a_body_gets_a_parts_error(self, app: Celery):
        add, fails = app.tasks["worker_app.add"], app.tasks["worker_app.fails"]
        heard = uuid.uuid4().hex
        body = app.tasks["worker_app.total"].s().on_error(app.tasks["worker_app.update_other"].si(heard))
        chord([add.s(1, 1), fails.s("part")], body)()
        assert app.AsyncResult(heard).get(timeout=30) == "by another"
