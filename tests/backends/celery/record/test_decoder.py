"""Reading: what AsyncResult and its like find, and how little is read for it."""

import json
import pickle
import threading
import time
import uuid
from functools import partial
from types import SimpleNamespace

import pytest
import redis
from celery import Celery, states
from celery.app.task import Context
from celery.exceptions import TimeoutError as CeleryTimeoutError
from celery.result import AsyncResult, GroupResult, ResultSet

from resultstore.model.errors import ResultMissing
from tests.backends.celery.conftest import Made
from tests.backends.celery.waiters import send


def request(task_id: str, **more: object) -> Context:
    return Context(id=task_id, task="tasks.add", hostname="w@host", retries=2, children=[], **more)


def sent(raw: redis.Redis) -> dict[str, int]:
    """How often which command was sent; scripts count as one."""
    inside = {"set", "publish", "getrange", "unlink"}
    calls = {name.removeprefix("cmdstat_"): told["calls"] for name, told in raw.info("commandstats").items()}
    return {
        name: count for name, count in calls.items() if name not in inside | {"info", "config|resetstat", "flushall"}
    }


def test_state_poll_reads_no_value_of_any_size(client: Celery, task_id: str, raw: redis.Redis):
    client.backend.store_result(task_id, "v" * 5_000_000, states.SUCCESS)
    raw.config_resetstat()

    result = client.AsyncResult(task_id)

    assert (result.state, result.ready(), result.successful()) == ("SUCCESS", True, True)
    assert sent(raw) == {"get": 1}
    assert (result.result, result.state) == ("v" * 5_000_000, "SUCCESS")
    assert sent(raw) == {"get": 1, "mget": 1}


def test_a_small_result_is_read_by_one_get(client: Celery, task_id: str, raw: redis.Redis):
    client.backend.store_result(task_id, {"sum": 4}, states.SUCCESS)
    raw.config_resetstat()
    result = client.AsyncResult(task_id)
    assert (result.state, result.result, result.traceback, result.children) == ("SUCCESS", {"sum": 4}, None, [])
    assert sent(raw) == {"get": 1}


def test_one_script_stores_a_result_without_reading(client: Celery, task_id: str, raw: redis.Redis):
    client.backend.store_result("warm-up", 1, states.SUCCESS)
    raw.config_resetstat()
    client.backend.store_result(task_id, 4, states.SUCCESS, request=request(task_id))
    assert sent(raw) == {"evalsha": 1}


def test_waiter_gets_a_small_result_without_reading(client: Celery, task_id: str, raw: redis.Redis):
    def delayed(one: str) -> object:
        result = send(client, one)
        client.backend.store_result(one, {"sum": 4}, states.SUCCESS, request=request(one))
        return result.get(timeout=5)

    delayed("warm-up")
    raw.config_resetstat()

    assert delayed(task_id) == {"sum": 4}
    assert sent(raw) == {"subscribe": 1, "evalsha": 1, "unsubscribe": 1}  # and the hint of PENDING, a SET


def test_ended_wait_leaves_no_check_to_the_next(client: Celery, task_id: str, raw: redis.Redis):
    def delayed(one: str) -> object:
        result = send(client, one)
        stored = partial(client.backend.store_result, one, 4, states.SUCCESS, request=request(one))
        threading.Timer(0.02, stored).start()
        return result.get(timeout=5)

    delayed("warm-up")
    time.sleep(0.1)  # by now a wait that went on would have looked for itself
    raw.config_resetstat()

    assert delayed(task_id) == 4
    assert "mget" not in sent(raw)


@pytest.mark.parametrize("value", [None, 0, "", [], {"a": [1, {"b": None}]}, "ö" * 300, list(range(2000))])
@pytest.mark.parametrize("serializer", ["json", "yaml", "msgpack"])
def test_a_value_comes_back_as_it_was(made: Made, task_id: str, serializer: str, value: object):
    app = made(result_serializer=serializer, result_accept_content=[serializer])
    app.backend.store_result(task_id, value, states.SUCCESS)
    assert app.AsyncResult(task_id).get(timeout=5) == value


def test_record_has_times_worker_and_retries(client: Celery, task_id: str):
    context = request(task_id, resultstore_sent_at=10.0, resultstore_began_at=12.5)
    client.backend.mark_as_done(task_id, 4, request=context)
    record = client.backend.store.peek(task_id)
    assert (record.task, record.worker, record.retries) == ("tasks.add", "w@host", 2)
    assert (record.created_at, record.started_at) == (10.0, 12.5)
    assert record.ended_at > 12.5
    assert record.unread == frozenset()


def test_extended_results_carry_arguments_queue_and_stamps(made: Made, task_id: str):
    app = made(result_extended=True)
    context = request(
        task_id,
        args=[1, "a" * 3_000],
        kwargs={"k": 2},
        delivery_info={"routing_key": "q"},
        stamps={"monitor": "m"},
        stamped_headers=["monitor"],
        group="g",
        parent_id="p",
    )
    app.backend.mark_as_done(task_id, 4, request=context)
    result = app.AsyncResult(task_id)
    assert (result.name, result.args, result.kwargs) == ("tasks.add", [1, "a" * 3_000], {"k": 2})
    assert (result.worker, result.retries, result.queue) == ("w@host", 2, "q")
    meta = app.backend.get_task_meta(task_id)
    assert (meta["monitor"], meta["group_id"], meta["parent_id"]) == ("m", "g", "p")
    assert result.date_done is not None


def test_children_and_the_parent_come_back(client: Celery, task_id: str):
    child = client.AsyncResult(uuid.uuid4().hex)
    context = request(task_id)
    context._children = [child]
    client.backend.mark_as_done(task_id, 4, request=context)
    client.backend.store_result(child.id, 5, states.SUCCESS)
    result = client.AsyncResult(task_id)
    assert result.children == [child]
    assert [value for _, value in result.collect()] == [4, 5]


def test_a_meta_is_a_dict(client: Celery, task_id: str):
    client.backend.store_result(task_id, {"x": 1}, states.SUCCESS)
    meta = client.backend.get_task_meta(task_id, cache=False)
    assert json.loads(json.dumps(dict(meta)))["result"] == {"x": 1}
    assert {"status", "result", "traceback", "children", "date_done", "task_id"} <= set(meta)
    assert len(meta) == len(list(meta.items())) == len(meta.copy())
    assert "result" in meta
    assert meta == dict(meta)
    assert meta.get("nothing", 3) == 3
    assert pickle.loads(pickle.dumps(meta)) == dict(meta)


def test_value_deleted_between_reads_is_an_error(client: Celery, task_id: str):
    client.backend.store_result(task_id, "v" * 5_000, states.SUCCESS)
    result = client.AsyncResult(task_id)
    assert result.state == "SUCCESS"
    client.backend.store.index.delete(task_id)
    with pytest.raises(ResultMissing, match=task_id):
        result.result  # noqa: B018 - it is read now


def test_many_results_are_read_in_one_round_trip(client: Celery, raw: redis.Redis):
    ids = [uuid.uuid4().hex for _ in range(100)]
    for number, one in enumerate(ids):
        client.backend.store_result(one, number, states.SUCCESS)
    raw.config_resetstat()
    found = dict(client.backend.get_many(ids))
    assert [found[one]["result"] for one in ids] == list(range(100))
    assert sent(raw) == {"mget": 1}


def test_get_many_yields_ready_results_then_times_out(client: Celery, task_id: str):
    other = uuid.uuid4().hex
    client.backend.store_result(task_id, 1, states.SUCCESS)
    seen, messages = [], []
    with pytest.raises(CeleryTimeoutError):
        seen.extend(
            one
            for one, _ in client.backend.get_many(
                [task_id, other], timeout=0.1, interval=0.05, on_message=messages.append
            )
        )
    assert [meta["status"] for meta in messages] == ["SUCCESS"]
    assert [one for one, _ in client.backend.get_many([task_id, other], max_iterations=1)] == [task_id]


def test_a_group_joins_natively_in_its_order(client: Celery, raw: redis.Redis):
    ids = [uuid.uuid4().hex for _ in range(50)]
    results = ResultSet([client.AsyncResult(one) for one in ids], app=client)
    for number, one in enumerate(ids):
        client.backend.store_result(one, number, states.SUCCESS)
    raw.config_resetstat()
    assert results.join_native(timeout=5) == list(range(50))
    assert sent(raw).get("mget") == 1
    assert "get" not in sent(raw)
    assert sorted(meta["result"] for _, meta in results.iter_native()) == list(range(50))


def test_group_is_saved_restored_and_deleted(client: Celery, task_id: str):
    first = client.GroupResult(task_id, [client.AsyncResult(uuid.uuid4().hex) for _ in range(3)])
    first.save()
    assert GroupResult.restore(task_id, app=client) == first
    client.backend._cache.clear()
    second = client.GroupResult(task_id, [client.AsyncResult(uuid.uuid4().hex)])
    second.save()
    client.backend._cache.clear()
    assert GroupResult.restore(task_id, app=client).results == second.results
    second.delete()
    assert GroupResult.restore(task_id, app=client) is None


def test_deduplication_finds_the_earlier_value(client: Celery, task_id: str):
    client.backend.store_result(task_id, {"sum": 4}, states.SUCCESS)
    assert client.backend.persistent
    found = AsyncResult(task_id, app=client)
    assert (found.state, found.result) == ("SUCCESS", {"sum": 4})
    assert client.backend.cleanup() is None
    assert client.backend.process_cleanup() is None
    assert SimpleNamespace(**dict(found.backend.get_task_meta(task_id))).result == {"sum": 4}
