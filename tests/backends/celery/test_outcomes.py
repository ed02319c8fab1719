"""Outcomes: which state follows which, and how an exception comes back."""

import json
import sys
import uuid
from pathlib import Path

import pytest
import redis
from celery import Celery, Signature, chord, group, states
from celery.app.task import Context

from resultstore.model import layout
from tests.backends.celery.conftest import Made


def request(task_id: str, **more: object) -> Context:
    return Context(id=task_id, task="tasks.add", hostname="w@host", retries=2, children=[], **more)


class Custom(Exception):
    class Nested(ValueError):
        """Of a class inside a class."""


def test_success_is_never_written_over(client: Celery, task_id: str):
    client.backend.store_result(task_id, "first", states.SUCCESS)
    client.backend.store_result(task_id, "second", states.SUCCESS)
    client.backend.mark_as_failure(task_id, ValueError("late"))
    assert client.AsyncResult(task_id).get(timeout=5) == "first"


def test_a_failure_may_be_followed_by_a_success(client: Celery, task_id: str):
    client.backend.mark_as_failure(task_id, ValueError("early"))
    client.backend.store_result(task_id, "then", states.SUCCESS)
    assert client.AsyncResult(task_id).get(timeout=5) == "then"


def test_an_exception_is_restored_with_its_arguments(client: Celery, task_id: str):
    client.backend.mark_as_failure(task_id, KeyError("x", 3), traceback="Traceback: here")
    result = client.AsyncResult(task_id)
    with pytest.raises(KeyError) as raised:
        result.get(timeout=5)
    assert raised.value.args == ("x", 3)
    assert result.traceback == "Traceback: here"
    assert result.failed()


def test_nested_exception_with_non_json_arguments_comes_back(client: Celery, task_id: str):
    client.backend.mark_as_failure(task_id, Custom.Nested("x", Path("a"), {1: object}))
    error = client.AsyncResult(task_id).get(timeout=5, propagate=False)
    assert type(error) is Custom.Nested
    assert error.args[0] == "x"
    assert "Path" in error.args[1]


def test_stored_bytes_never_import_a_module(client: Celery, task_id: str):
    told = {"exc_type": "TestFailed", "exc_message": ["x"], "exc_module": "test.support"}
    client.backend.store_result(task_id, told, states.FAILURE)
    assert "test.support" not in sys.modules
    error = client.AsyncResult(task_id).get(timeout=5, propagate=False)
    assert (type(error).__name__, error.args) == ("TestFailed", ("x",))
    assert "test.support" not in sys.modules


def test_stored_name_that_is_no_exception_stays_uncalled(client: Celery, task_id: str):
    told = {"exc_type": "system", "exc_message": ["true"], "exc_module": "os"}
    client.backend.store_result(task_id, told, states.FAILURE)
    with pytest.raises(Exception, match="Expected an exception class"):
        client.AsyncResult(task_id).get(timeout=5)


def test_failure_is_readable_for_users(client: Celery, task_id: str):
    client.backend.mark_as_failure(task_id, ValueError("why", 3))
    failure = client.backend.store.load(task_id).failure
    assert (failure.type, failure.message, failure.module) == ("ValueError", "why, 3", "builtins")


@pytest.mark.parametrize("size", [1, 5_000])
def test_a_custom_state_has_its_meta(client: Celery, task_id: str, size: int):
    client.backend.store_result(task_id, {"page": "p" * size}, "PRINTING")
    result = client.AsyncResult(task_id)
    assert (result.state, result.info, result.ready()) == ("PRINTING", {"page": "p" * size}, False)


def test_a_started_task_says_where(client: Celery, task_id: str):
    client.backend.mark_as_started(task_id, pid=7, hostname="w@host")
    assert (client.AsyncResult(task_id).state, client.AsyncResult(task_id).info) == (
        "STARTED",
        {"pid": 7, "hostname": "w@host"},
    )
    record = client.backend.store.peek(task_id)
    assert record.worker == "w@host"
    assert record.started_at is not None


def test_failed_chain_fails_the_ids_of_later_groups(client: Celery):
    """Celery #6437."""

    @client.task
    def add(x: int, y: int) -> int:
        return x + y

    def awaited() -> list[Signature]:
        return [add.s(n).set(task_id=uuid.uuid4().hex) for n in (1, 2)]

    header, inner, body, inside = awaited(), awaited(), awaited(), awaited()
    behind = [
        group(add.s(1), group(inside[0], add.s(3) | inside[1])),
        chord([*header, chord(inner, add.s(4))], group(body)),
    ]
    for one in behind:
        one.freeze()
    plain = json.loads(json.dumps([dict(one) for one in behind]))  # as it is written in a message
    context = request(uuid.uuid4().hex, chain=plain)
    client.backend.mark_as_failure(context.id, ValueError("link"), request=context)
    for one in (*header, *inner, *body, *inside):
        assert client.AsyncResult(one.id).state == states.FAILURE


@pytest.mark.parametrize("state", [states.SUCCESS, states.FAILURE])
def test_huge_value_is_next_to_a_small_record(made: Made, raw: redis.Redis, task_id: str, state: str):
    client = made(result_extended=True)
    children = [client.GroupResult("g", [client.AsyncResult(f"{task_id}-{n}") for n in range(10_000)])]
    error = ValueError("e" * 1_000_000)
    result, traceback = (1, None) if state == states.SUCCESS else (error, "t" * 1_000_000)
    context = Context(id=task_id, task="tasks.add", args=["a" * 100_000])
    context._children = children

    client.backend.store_result(task_id, result, state, traceback=traceback, request=context)

    assert raw.strlen(layout.record_key(task_id)) < 260
    found = client.AsyncResult(task_id)
    assert len(found.children[0].results) == 10_000
    assert found.args == ["a" * 100_000]
    assert found.traceback == traceback
    assert found.get(timeout=5, propagate=False).args == error.args if state == states.FAILURE else found.result == 1
