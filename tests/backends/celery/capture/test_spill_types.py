"""Spill changes no type: a value above the limit arrives as it would below it, by each serializer."""

import json
import math
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from celery import Celery, Task
from celery.app.trace import build_tracer
from celery.signals import before_task_publish
from hypothesis import HealthCheck, example, given, settings, strategies as st
from kombu.serialization import dumps, loads

from resultstore import Artifact, Output
from resultstore.backends.celery import setup
from resultstore.backends.celery.codec.serializers import serialize
from resultstore.model.spill import Spill

SERIALIZERS = ("json", "yaml", "msgpack")
JSON = ("application/json", "utf-8")
LIMIT = 200
TYPES = {"application/json", "application/x-yaml", "application/x-msgpack"}

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**63), max_value=2**63)
    | st.floats(allow_nan=False)
    | st.text(alphabet=st.characters(exclude_categories=["Cs"]))
    | st.binary(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text("abc\n\x07é😀", max_size=5), inner) | st.tuples(inner, inner)
    ),
    max_leaves=8,
)
filling = st.sampled_from([0, LIMIT - 60, LIMIT, LIMIT + 1, 5_000])


@cache
def made(serializer: str, result_serializer: str, limit_bytes: int) -> Celery:
    app = Celery("types", broker="memory://", backend="resultstore+memory://", set_as_current=False)
    app.conf.update(
        resultstore_blobs_url="memory://",
        resultstore_inline_max_bytes=limit_bytes,
        task_serializer=serializer,
        result_serializer=result_serializer,
        accept_content=["json", "yaml", "msgpack"],
    )
    setup(app)
    return app


def as_an_argument(app: Celery, value: object) -> tuple[object, bool]:
    """What a task is called with when it is sent `value`, and whether a reference travelled."""
    message = app.amqp.as_task_v2("id", "name", (value,), {"named": value})
    media_type, encoding, body = dumps(message.body, app.conf.task_serializer)
    args, kwargs, _ = loads(body, media_type, encoding, accept=TYPES)
    values, named = app.backend.resolver.resolve_arguments(args, kwargs, lazy={}, owner="")
    assert exact(values[0]) == exact(named["named"])
    return values[0], b"spill/1" in (body if isinstance(body, bytes) else body.encode())


def as_received(app: Celery, value: object) -> Any:
    """What a worker's consumer makes of a message's only argument."""
    return loads(dumps(app.amqp.as_task_v2("id", "name", (value,), {}).body, "json")[2], *JSON)[0][0]


def returning(app: Celery, value: object) -> Task:
    """A task that returns `value`; nothing is known of the id "job"."""
    if "types.returns" not in app.tasks:

        @app.task(name="types.returns", bind=True, shared=False)
        def returns(self: Task) -> object:
            return self.given

    store = app.backend.store
    store.index.delete("job")
    store.blobs.delete([one.key for one in store.blobs.list("seals/")])
    task = app.tasks["types.returns"]
    type(task).given = value
    return task


def as_a_result(app: Celery, value: object) -> tuple[object, object]:
    """What `AsyncResult.get()` gives of `value`, and what the next task of a chain is called with."""
    task = returning(app, value)
    travels = build_tracer(task.name, task, app=app)("job", (), {}, {"id": "job"}).retval
    return app.AsyncResult("job").get(), as_an_argument(app, travels)[0]


def passed_on(app: Celery, value: object) -> tuple[object, object, object]:
    """What `get()` gives of `value`, what a link of its task is called with, and what a task that is sent what was
    stored, as a chord's body is."""
    bodies: list[object] = []

    def keep(body: object, **_: object) -> None:
        bodies.append(body)

    task = returning(app, value)
    before_task_publish.connect(keep)
    try:
        link = app.signature("types.next").set(task_id="next")
        told = build_tracer(task.name, task, app=app)("job", (), {}, {"id": "job", "callbacks": [link]})
    finally:
        before_task_publish.disconnect(keep)
    media_type, encoding, body = dumps(bodies[0], app.conf.task_serializer)
    args, _, _ = loads(body, media_type, encoding, accept=TYPES)
    stored = app.backend.decode(app.backend.encoded(told.retval))
    return (
        app.AsyncResult("job").get(),
        app.backend.resolver.resolve_arguments(args, {}, lazy={}, owner="")[0][0],
        as_an_argument(app, stored)[0],
    )


def exact(value: object) -> object:
    """`value` with the type of each part, so that 1 and 1.0 and True differ."""
    if isinstance(value, dict):
        return dict, [(exact(key), exact(one)) for key, one in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [exact(one) for one in value]
    return type(value), str(value) if isinstance(value, float) and math.isinf(value) else value


@pytest.mark.parametrize("serializer", SERIALIZERS)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(value=plain, fill=filling)
@example(value={"é😀": [b"\x00\xff", (1, 2.0, True)]}, fill=LIMIT)
def test_no_type_depends_on_size(serializer: str, value: object, fill: int):
    value = [value, "x" * fill]
    inline, spilling = (made(serializer, serializer, limit) for limit in (1 << 30, LIMIT))

    here, travelled = as_an_argument(inline, value)
    there, spilled = as_an_argument(spilling, value)

    assert exact(there) == exact(here)
    assert (travelled, spilled) == (False, len(serialize(value, serializer)[0]) > LIMIT)
    assert [exact(one) for one in as_a_result(spilling, value)] == [exact(one) for one in as_a_result(inline, value)]


@pytest.mark.parametrize("value", [datetime(2026, 1, 2, tzinfo=UTC), Decimal("1.50"), 2, ("a", "b")])
def test_json_keeps_its_own_types_in_large_values(value: object):
    inline, spilling = (made("json", "json", limit) for limit in (1 << 30, LIMIT))
    large = [value, "x" * 1_000]

    assert exact(as_an_argument(spilling, large)[0]) == exact(as_an_argument(inline, large)[0])
    assert exact(as_a_result(spilling, large)[0]) == exact(as_a_result(inline, large)[0])


@pytest.mark.parametrize(("serializer", "result_serializer"), [("json", "yaml"), ("yaml", "json")])
def test_next_task_gets_its_own_serializers_value(serializer: str, result_serializer: str):
    value = {"fill": "x" * 1_000, 7: b"\xff"}  # a number as a key stays one in YAML alone

    both = (passed_on(made(serializer, result_serializer, limit), value) for limit in (1 << 30, LIMIT))
    got, linked, later = zip(*both, strict=True)

    assert exact(got[0]) == exact(got[1])
    assert exact(linked[0]) == exact(linked[1])
    assert exact(later[0]) == exact(later[1])
    assert (7 in linked[0], 7 in got[0]) == (serializer == "yaml", result_serializer == "yaml")


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_artifacts_travel_by_every_serializer(serializer: str):
    app = made(serializer, serializer, LIMIT)

    got, next_gets = as_a_result(app, {"out": Output(data=b"x"), "fill": "x" * 1_000})

    assert isinstance(got["out"], Artifact)
    assert next_gets == got


def test_a_message_in_pickle_keeps_its_values():
    app = made("pickle", "json", LIMIT)

    message = app.amqp.as_task_v2("id", "name", ("x" * 5_000,), {})

    assert message.body[0] == ("x" * 5_000,)


def test_a_reference_of_a_pickled_value_is_refused():
    app = made("json", "json", LIMIT)
    spill = app.backend.spills.keep_argument(b"\x80\x04N.", media_type="application/x-python-serialize")

    with pytest.raises(Exception, match="json, yaml or msgpack"):
        app.backend.resolver.resolve(spill)


def test_reading_a_message_makes_no_request(monkeypatch: pytest.MonkeyPatch):
    app = made("json", "json", LIMIT)
    message = app.amqp.as_task_v2("id", "name", ("x" * 5_000,), {})
    monkeypatch.setattr(app.backend.store.blobs, "get", None)

    args, _, _ = loads(dumps(message.body, "json")[2], *JSON)

    assert isinstance(args[0], Spill)


def test_lazy_parts_fetch_on_demand_and_keep_none(monkeypatch: pytest.MonkeyPatch):
    app = made("json", "json", LIMIT)
    values = [str(number) * 1_000 for number in range(5)]
    parts = [as_received(app, value) for value in values]
    spilled = as_received(app, parts)
    app.backend.spills._fetched.clear()
    fetched, get = [], app.backend.store.blobs.get
    monkeypatch.setattr(app.backend.store.blobs, "get", lambda key, **where: fetched.append(key) or get(key, **where))

    (lazy, plain), _ = app.backend.resolver.resolve_arguments([spilled, parts[:1]], {}, lazy={"parts": 0}, owner="")

    assert (len(lazy), plain) == (5, values[:1])
    assert fetched == [spilled.key, parts[0].key]
    assert next(iter(lazy)) == lazy[0] == values[0]
    assert list(lazy) == values
    assert list(lazy[1:3]) == values[1:3]
    assert list(app.backend.spills._fetched) == [parts[0].key]  # that of the plain argument
    assert len(fetched) == 2 + 4 + 2  # the first part is remembered, for the plain argument


def test_any_json_serializer_writes_references_as_kombu():
    app = made("json", "json", 1_000)
    spill = as_received(app, "x" * 5_000)
    following = app.signature("types.next", args=([spill],))
    message = app.amqp.as_task_v2("id", "name", ("y" * 5_000, [spill]), {"named": (spill,)}, chain=[following])
    by_anyone = json.dumps(message.body)
    assert by_anyone == dumps(message.body, "json")[2]
    assert by_anyone.count("resultstore.spill/1") == 4
    assert loads(by_anyone, *JSON)[0][1] == [spill]
