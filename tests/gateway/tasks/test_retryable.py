"""The action `retry` is offered exactly where it succeeds."""

import json
import time
import uuid

import msgspec
import pytest

from resultstore.dispatch.orders import Order, announce
from resultstore.model import layout
from resultstore.model.artifact import Artifact
from resultstore.model.errors import IndexUnavailable
from resultstore.model.result import Failure, Result, State
from tests.gateway.conftest import Served
from tests.gateway.results.test_foreign_ids import sealed


def ordered(served: Served, *, task: str = "greet", owner: str = "local", source: Artifact | None = None) -> str:
    """Start a task by the gateway and let it fail."""
    order = Order(id=str(uuid.uuid4()), task=task, owner=owner, arguments={"name": "ann"}, source=source)
    announce(served.store, order)
    failure = Failure("ValueError", "no")
    served.store.save(Result(id=order.id, task=task, owner="local", state=State.FAILURE, failure=failure))
    return order.id


def upload(served: Served, *, expires_in_s: float) -> Artifact:
    """Store an uploaded input file."""
    made = served.store.put(b"picture", name="input")
    return served.store.signatures.sign(msgspec.structs.replace(made, expires_at=int(time.time() + expires_in_s)))


def deleted_upload(served: Served) -> Artifact:
    """Store an input file of another Result, and delete that Result."""
    made = upload(served, expires_in_s=60)
    served.store.delete(made.id)
    return made


def without_order(served: Served) -> str:
    made = ordered(served)
    served.store.index.keys.drop(layout.order_key(made))
    return made


def damaged_order(served: Served) -> str:
    made = ordered(served)
    served.store.index.keys.keep(layout.order_key(made), b"\xff" * 50, ttl_s=60)
    return made


def without_owner(served: Served) -> str:
    served.store.save(Result(id="nobodys", task="greet", state=State.FAILURE))
    return "nobodys"


def running(served: Served) -> str:
    order = Order(id=str(uuid.uuid4()), task="greet", owner="local", arguments={"name": "ann"})
    announce(served.store, order)
    return order.id


KINDS = {
    "sent by the gateway": (ordered, True),
    "with an upload": (lambda one: ordered(one, task="shrink", source=upload(one, expires_in_s=60)), True),
    "with an upload that has expired": (
        lambda one: ordered(one, task="shrink", source=upload(one, expires_in_s=-60)),
        False,
    ),
    "with an upload that was deleted": (lambda one: ordered(one, task="shrink", source=deleted_upload(one)), False),
    "of a task that is not offered any more": (lambda one: ordered(one, task="gone"), False),
    "whose order is gone": (without_order, False),
    "whose order is damaged": (damaged_order, False),
    "whose order is another's": (lambda one: ordered(one, owner="bob"), False),
    "stored by a program": (lambda one: sealed(one.store, "local"), False),
    "without an owner": (without_owner, False),
    "still waiting": (running, False),
}


@pytest.mark.parametrize("kind", KINDS)
def test_retry_is_offered_where_it_works(served, orders, kind):
    make, repeatable = KINDS[kind]
    made = make(served)

    shown = served.gateway.get(f"/v1/results/{made}").json()
    [listed] = [one for one in served.gateway.get("/v1/results").json()["items"] if one["id"] == made]
    with served.gateway.stream("GET", "/v1/events") as stream:
        snapshot = json.loads(next(stream.iter_raw()).decode().partition("data: ")[2])
    [streamed] = [one for one in snapshot["items"] if one["id"] == made]

    assert [("retry" in one["actions"]) for one in (shown, listed, streamed)] == [repeatable] * 3
    if kind != "still waiting":  # a direct request is not refused in this state
        answer = served.gateway.post(f"/v1/results/{made}/retry", json={})
        assert (answer.status_code == 202) == repeatable, answer.text
        assert len(orders.sent) == repeatable


def test_a_change_that_is_streamed_offers_it_too(served):
    with served.gateway.stream("GET", "/v1/events") as stream:
        lines = stream.iter_lines()
        next(lines)
        made = ordered(served)
        views = (json.loads(one.partition(": ")[2]) for one in lines if one.startswith("data: "))
        [last] = [next(one for one in views if one.get("id") == made and one["state"] == "FAILURE")]

    assert "retry" in last["actions"]


def test_without_a_look_at_orders_results_are_shown(served, monkeypatch):
    made = ordered(served)

    def away(_keys):
        raise IndexUnavailable("the index at redis.internal does not answer")

    monkeypatch.setattr(served.store.index.keys, "read_many", away)

    shown = served.gateway.get(f"/v1/results/{made}")
    assert (shown.status_code, shown.json()["actions"]) == (200, ["delete"])
    assert served.gateway.get("/v1/results").status_code == 200


def test_a_list_asks_for_all_orders_at_once(served, monkeypatch):
    made = [ordered(served) for _ in range(20)]
    asked = []
    kept_many = served.store.index.keys.read_many
    monkeypatch.setattr(
        served.store.index.keys, "read_many", lambda keys: (asked.append(len(keys)), kept_many(keys))[1]
    )

    items = served.gateway.get("/v1/results").json()["items"]

    assert {one["id"] for one in items if "retry" in one["actions"]} == set(made)
    assert asked == [20]


def test_retry_keeps_name_of_its_upload(served):
    source = served.store.put(b"picture", name="holiday.png", id="first")
    order = Order(id="again", task="shrink", owner="local", source=source, retry_of="first")
    announce(served.store, order)

    waiting = served.gateway.get("/v1/results/again").json()
    served.store.save(Result(id="again", task="shrink", owner="local", state=State.SUCCESS))
    shown = served.gateway.get("/v1/results/again").json()
    [listed] = [one for one in served.gateway.get("/v1/results").json()["items"] if one["id"] == "again"]

    for view in (waiting, shown, listed):
        assert (view["upload"]["name"], view["retry_of"]) == ("holiday.png", "first")
    assert waiting["input"] is None
    assert [view["input"]["name"] for view in (shown, listed)] == ["holiday.png", "holiday.png"]


def with_upload(served: Served) -> None:
    """Store the Result `first` of a task that has ended, and its upload."""
    source = served.store.put(b"picture", name="form.png", id="first", owner="local")
    first = Order(id="first", task="shrink", owner="local", source=source)
    announce(served.store, first)
    ended = served.store.load("first").moved(State.SUCCESS, task="shrink")
    served.store.index.delete("first")
    served.store.save(ended)


def test_file_of_a_restarted_result_is_not_deleted(served, orders):
    with_upload(served)
    answer = served.gateway.post("/v1/results/first/retry", json={})
    again = answer.json().get("id") or pytest.fail(answer.text)
    served.store.save(Result(id=again, task="shrink", owner="local", state=State.SUCCESS))

    refused = served.gateway.delete("/v1/results/first")
    shown = served.gateway.get(f"/v1/results/{again}").json()

    assert (refused.status_code, refused.json()["slug"]) == (409, "input-in-use")
    assert (shown["input"]["name"], shown["upload"]["name"]) == ("form.png", "form.png")
    assert served.gateway.get(shown["input"]["link"]).status_code == 302
    assert "retry" in shown["actions"]


@pytest.mark.parametrize("how", ["retry is deleted first", "forced"])
def test_file_is_deleted_when_nothing_uses_it(served, orders, how):
    with_upload(served)
    answer = served.gateway.post("/v1/results/first/retry", json={})
    again = answer.json().get("id") or pytest.fail(answer.text)
    served.store.save(Result(id=again, task="shrink", owner="local", state=State.FAILURE))

    if how == "forced":
        answers = [served.gateway.delete("/v1/results/first?force=true")]
    else:
        answers = [served.gateway.delete(f"/v1/results/{one}") for one in (again, "first")]

    assert {one.status_code for one in answers} == {204}
    assert served.store.load("first") is None
    left = served.gateway.get(f"/v1/results/{again}")
    assert left.status_code == 404 or (left.json()["input"], left.json()["actions"]) == (None, ["delete"])


def test_unrestarted_result_is_deleted_without_reading_orders(served, monkeypatch):
    with_upload(served)
    monkeypatch.setattr("resultstore.gateway.tasks.retryable.read_orders", lambda *_: pytest.fail("read"))

    assert served.gateway.delete("/v1/results/first").status_code == 204
