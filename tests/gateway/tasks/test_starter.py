"""Starting, cancelling and retrying tasks by HTTP, with idempotency."""

import threading
from hashlib import sha256

import pytest

from resultstore.model import layout
from resultstore.model.errors import BlobStoreUnavailable
from resultstore.model.result import Result, State
from resultstore.store.attempt import Attempt, running

GREET = {"arguments": {"name": "ann"}}
PICTURE = {"name": "a.png", "size_bytes": 5, "media_type": "image/png", "task": "shrink"}


def test_offers_are_listed_with_arguments(served):
    told = served.gateway.get("/v1/tasks").json()["offers"]

    assert [one["task"] for one in told] == ["greet", "shrink"]
    assert told[0]["arguments"]["properties"]["name"]["maxLength"] == 20
    assert told[1]["takes"] == ["image/png"]
    assert served.gateway.get("/v1/session").json()["offers"] == told


def test_started_task_is_visible_at_once(served, orders):
    answer = served.gateway.post("/v1/tasks/greet", json=GREET)

    assert answer.status_code == 202
    (order,) = orders.sent
    assert (order.task, order.arguments, order.owner) == ("greet", {"name": "ann"}, "local")
    assert answer.headers["location"] == f"/v1/results/{order.id}"
    assert served.gateway.get(answer.headers["location"]).json()["state"] == "PENDING"
    assert answer.json()["actions"] == ["cancel"]


@pytest.mark.parametrize(
    ("task", "body", "refusal"),
    [
        ("unknown", GREET, (404, "task-missing")),
        ("shrink", {}, (422, "invalid-request")),
        ("greet", {}, (422, "invalid-request")),
        ("greet", {"arguments": {"name": "x" * 21}}, (422, "invalid-request")),
        ("greet", {"arguments": {"name": "ann", "owner": "bob"}}, (422, "invalid-request")),
        ("greet", GREET | {"owner": "bob"}, (422, "invalid-request")),
        ("greet", [], (422, "invalid-request")),
    ],
)
def test_what_is_not_offered_so_is_refused(served, orders, task, body, refusal):
    answer = served.gateway.post(f"/v1/tasks/{task}", json=body)

    assert (answer.status_code, answer.json()["slug"]) == refusal
    assert orders.sent == []


def test_broker_outage_is_an_anonymous_503_without_quota(served, orders):
    orders.away = True

    answers = [served.gateway.post("/v1/tasks/greet", json=GREET, headers={"Idempotency-Key": "k"}) for _ in range(2)]

    assert [one.status_code for one in answers] == [503, 503]
    assert "internal" not in answers[0].text
    orders.away = False
    assert served.gateway.post("/v1/tasks/greet", json=GREET, headers={"Idempotency-Key": "k"}).status_code == 202


def test_same_key_starts_one_task_refuses_others(served, orders):
    keyed = {"Idempotency-Key": "once"}

    first, again = (served.gateway.post("/v1/tasks/greet", json=GREET, headers=keyed) for _ in range(2))
    other = served.gateway.post("/v1/tasks/greet", json={"arguments": {"name": "bob"}}, headers=keyed)

    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    assert len(orders.sent) == 1
    assert (other.status_code, other.json()["slug"]) == (422, "key-reused")


def test_concurrent_requests_with_one_key_start_one_task(served, orders):
    go, answers = threading.Barrier(8), []

    def start():
        go.wait()
        answers.append(served.gateway.post("/v1/tasks/greet", json=GREET, headers={"Idempotency-Key": "race"}))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert len(orders.sent) == 1
    assert {one.status_code for one in answers} <= {202, 409}
    assert {one.json()["id"] for one in answers if one.status_code == 202} == {orders.sent[0].id}


def test_a_key_is_its_owners(served_with_tokens, orders):
    served, token_of = served_with_tokens

    ids = {
        served.gateway.post(
            "/v1/tasks/greet",
            json=GREET,
            headers={"Idempotency-Key": "same", "Authorization": f"Bearer {token_of(owner, 'run')}"},
        ).json()["id"]
        for owner in ("ann", "bob")
    }

    assert len(ids) == 2
    assert {one.owner for one in orders.sent} == {"ann", "bob"}


def test_work_is_cancelled_and_what_has_ended_stays(served, orders):
    made = served.gateway.post("/v1/tasks/greet", json=GREET).json()["id"]
    served.store.save(Result(id="done", owner="local", state=State.SUCCESS))

    answers = [served.gateway.post(f"/v1/results/{one}/cancel") for one in (made, "done")]

    assert [one.status_code for one in answers] == [202, 202]
    assert orders.cancelled == [made]


def test_retry_creates_new_result_of_same_order(served, orders):
    made = served.gateway.post("/v1/tasks/greet", json=GREET).json()["id"]

    again = served.gateway.post(f"/v1/results/{made}/retry")

    first, second = orders.sent
    assert again.status_code == 202
    assert (again.json()["id"], again.json()["retry_of"]) == (second.id, made)
    assert second.id != first.id
    assert (second.task, second.arguments, second.owner, second.retry_of) == ("greet", {"name": "ann"}, "local", made)


def test_result_without_order_cannot_be_retried(served):
    served.store.save(Result(id="sent-elsewhere", owner="local", state=State.FAILURE))

    answer = served.gateway.post("/v1/results/sent-elsewhere/retry")

    assert (answer.status_code, answer.json()["slug"]) == (409, "not-repeatable")
    assert "start a new task" in answer.json()["detail"]


def test_deletion_removes_artifacts_and_refuses_running_tasks(served):
    made = served.store.put(b"hello", name="a.txt", id="done")
    served.store.save(Result(id="runs", owner="local", state=State.STARTED))

    answers = {one: served.gateway.delete(f"/v1/results/{one}") for one in ("done", "runs", "unknown")}

    assert {one: answer.status_code for one, answer in answers.items()} == {"done": 204, "runs": 409, "unknown": 404}
    assert answers["runs"].json()["slug"] == "not-finished"
    assert served.gateway.get("/v1/results/done").status_code == 404
    assert made.key not in [one.key for one in served.blobs.list("blobs/")]


def test_failed_deletion_is_finished_by_repetition(served_with_tokens, monkeypatch):
    served, token_of = served_with_tokens
    ann, bob = ({"Authorization": f"Bearer {token_of(owner, 'delete')}"} for owner in ("ann", "bob"))
    attempt = Attempt("anns", owner="ann")
    with running(attempt):
        served.store.put(b"hello", name="a.txt")
    served.store.save(served.store.seal(attempt))

    def away(*_: object) -> None:
        raise BlobStoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(served.blobs, "delete", away)
        assert served.gateway.delete("/v1/results/anns", headers=ann).status_code == 503
    assert served.gateway.delete("/v1/results/anns", headers=bob).status_code == 404
    assert len(list(served.blobs.list("blobs/"))) == 1

    assert served.gateway.delete("/v1/results/anns", headers=ann).status_code == 404
    assert list(served.blobs.list("blobs/")) == []


WRITES = [
    ("POST", "/v1/tasks/greet", "run"),
    ("POST", "/v1/results/anns/cancel", "run"),
    ("POST", "/v1/results/anns/retry", "run"),
    ("DELETE", "/v1/results/anns", "delete"),
    ("GET", "/v1/results/anns", "read"),
    ("GET", "/v1/results", "read"),
    ("GET", "/v1/results/anns/artifacts/a", "read"),
]


@pytest.mark.parametrize(("method", "path", "scope"), WRITES, ids=lambda word: word)
def test_each_route_checks_scope_and_owner(served_with_tokens, orders, method, path, scope):
    served, token_of = served_with_tokens
    served.store.save(Result(id="anns", owner="ann", state=State.SUCCESS))
    others = [one for one in ("read", "upload", "run", "delete", "admin") if one != scope]
    json = GREET if method == "POST" else None

    def asked(*scopes, to=path):
        headers = {"Authorization": f"Bearer {token_of('bob', *scopes)}"} if scopes else {}
        return served.gateway.request(method, to, json=json, headers=headers)

    assert asked().status_code == 401
    assert (asked(*others).status_code, asked(*others).json()["slug"]) == (403, "scope-missing")
    if "anns" in path:
        foreign, unknown = asked(scope), asked(scope, to=path.replace("anns", "nons"))
        assert foreign.status_code == 404
        assert foreign.content.replace(b"anns", b"nons") == unknown.content
    assert orders.cancelled == []
    assert served.store.load("anns") is not None


def test_running_work_has_a_quota(tmp_path, orders, serving):
    with serving(tmp_path, orders, quota_running="2") as served:
        answers = [served.gateway.post("/v1/tasks/greet", json=GREET) for _ in range(3)]

    assert [one.status_code for one in answers] == [202, 202, 429]
    assert answers[2].json()["slug"] == "quota"
    assert int(answers[2].headers["retry-after"]) > 0
    assert len(orders.sent) == 2


POISON = [
    b"\xff\xfe x done",
    b"",
    b"x",
    b"a b c d done",
    b"a" * 64 + b" " + b"x" * 5_000 + b" done",
    b"a" * 64 + b" ../x done",
    b"a" * 64 + b" x later",
    b"x" * 1_000_000,
]


@pytest.mark.parametrize("poison", POISON, ids=range(len(POISON)))
@pytest.mark.parametrize(
    ("path", "body", "status"),
    [("/v1/tasks/greet", GREET, 202), ("/v1/uploads", PICTURE, 201)],
)
def test_a_poisoned_key_does_its_work_once(served, poison, path, body, status):
    place = layout.idempotency_key("local", sha256(b"k").hexdigest())
    served.store.index.keys.keep(place, poison, ttl_s=60)

    answers = [served.gateway.post(path, json=body, headers={"Idempotency-Key": "k"}) for _ in range(2)]

    assert [one.status_code for one in answers] == [status, status]
    assert len({one.json()["id"] for one in answers}) == 1


def test_a_key_that_names_anothers_result_shows_nothing(served):
    served.store.save(Result(id="foreign", owner="bob", state=State.SUCCESS))
    assert served.gateway.post("/v1/tasks/greet", json=GREET, headers={"Idempotency-Key": "k"}).status_code == 202
    place = layout.idempotency_key("local", sha256(b"k").hexdigest())
    kept = served.store.index.keys.read(place).split()
    answers = []
    for named in (b"foreign", b"unknown"):
        served.store.index.keys.keep(place, b" ".join([kept[0], named, kept[2]]), ttl_s=60)
        answers.append(served.gateway.post("/v1/tasks/greet", json=GREET, headers={"Idempotency-Key": "k"}))

    assert [one.status_code for one in answers] == [404, 404]
    assert answers[0].text.replace("foreign", "unknown") == answers[1].text


def test_a_poisoned_count_is_counted_anew(served):
    served.store.index.keys.keep(layout.quota_key("local", "stored"), b"junk", ttl_s=60)

    assert served.gateway.post("/v1/uploads", json=PICTURE).status_code == 201


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**300], ids=["above", "below", "far"])
@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k"}], ids=["no key", "key"])
def test_a_number_beyond_64_bits_is_refused(served, orders, number, headers):
    answer = served.gateway.post(
        "/v1/tasks/greet", json={"arguments": {"name": "ann", "times": number}}, headers=headers
    )

    assert (answer.status_code, answer.json()["slug"]) == (422, "invalid-request")
    assert orders.sent == []


@pytest.mark.parametrize("number", [2**64 - 1, -(2**63)])
def test_a_number_of_64_bits_is_taken(served, orders, number):
    answer = served.gateway.post("/v1/tasks/greet", json={"arguments": {"name": "ann", "times": number}})

    assert answer.status_code == 202
    assert orders.sent[0].arguments["times"] == number
