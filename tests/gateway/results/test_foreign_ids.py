"""Every route answers another owner's id exactly like an unknown one."""

import json
import uuid
from collections.abc import Iterator
from http import HTTPStatus

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from resultstore.dispatch.orders import Order, announce, read_order
from resultstore.index.redis.driver import RedisIndex
from resultstore.model.result import Failure, Result, State
from resultstore.store import Store
from resultstore.store.attempt import Attempt, running
from tests.gateway.conftest import Orders, Served, granted
from tests.gateway.test_own_server import made

ALL = ("read", "upload", "run", "delete", "share")
MIB = 1024 * 1024
# Parts of a response that differ each time.
CHANGING = {"x-request-id", "date"}
# Paths with the id of a Result or an upload; `asked` has the requests for each.
WITH_ID = {
    "/v1/results/{result_id}",
    "/v1/results/{result_id}/artifacts/{name}",
    "/v1/results/{result_id}/cancel",
    "/v1/results/{result_id}/retry",
    "/v1/results/{result_id}/artifacts/{name}/shares",
    "/v1/results/{result_id}/shares",
    "/v1/results/{result_id}/shares/{share_id}",
    "/v1/archives",
    "/v1/uploads/{upload_id}",
    "/v1/uploads/{upload_id}/complete",
    "/s3/multipart/{upload_id}",
    "/s3/multipart/{upload_id}/batch",
    "/s3/multipart/{upload_id}/complete",
    "/s3/multipart/{upload_id}/{number}",
    "/v1/uppy/sign",
    "/v1/uppy/uploads/{key}/begun",
    "/v1/uppy/uploads/{key}/parts",
    "/v1/uppy/uploads/{key}/complete",
    "/v1/uppy/uploads/{key}/abort",
}
WITHOUT_ID = {
    "/",
    "/page/{name}",
    "/livez",
    "/readyz",
    "/v1/events",
    "/v1/session",
    "/v1/results",
    "/v1/uploads",
    "/v1/tasks",
    "/v1/tasks/{task}",
    "/share/{token}",
    "/s3/params",
    "/s3/multipart",
}


def routes(app: FastAPI | APIRouter) -> Iterator[tuple[str, str]]:
    """Return each method and path of the API, including those that OpenAPI does not describe."""
    for route in app.routes:
        if isinstance(route, APIRoute):
            yield from ((method, route.path) for method in route.methods)
        elif (included := getattr(route, "original_router", None)) is not None:
            yield from routes(included)


def asked(client: httpx.Client, method: str, path: str, *, id: str, upload: str) -> list[httpx.Response]:
    """Return every request of this method and path for `id`, whose multipart upload is `upload`."""
    target = path.format(
        result_id=id,
        upload_id=upload if path.startswith("/s3/") else id,
        key=id,
        name="out.txt",
        number=1,
        share_id="a" * 32,
    )
    query = {"key": id, "partNumbers": "1", "upload": upload, "expires": "9999999999", "mac": "0" * 32}
    bodies: list[dict[str, object]] = [{}]
    if path == "/v1/uppy/sign":
        bodies = [
            {"method": one, "key": id, "uploadId": upload, "partNumber": 1} for one in ("PUT", "POST", "GET", "DELETE")
        ]
    if path == "/v1/archives":
        bodies = [{"results": [id]}]
    plain = [{}, query] if path.startswith("/v1/results") else [query]
    return [
        client.request(method, target, params=params, **({"json": body} if method == "POST" else {}))
        for params in plain
        for body in bodies
    ]


def told(answer: httpx.Response, id: str) -> tuple[int, str, dict[str, str]]:
    headers = {name: value.replace(id, "ID") for name, value in answer.headers.items() if name not in CHANGING}
    return answer.status_code, answer.text.replace(id, "ID"), headers


def sealed(store: Store, owner: str) -> str:
    """Store a successful Result with an Artifact `out.txt`."""
    attempt = Attempt(str(uuid.uuid4()), owner=owner)
    with running(attempt):
        store.put(b"secret", name="out.txt")
    store.save(store.seal(attempt, value=b"1"))
    return attempt.id


def results(served: Served, orders: Orders, bob: httpx.Client) -> dict[str, tuple[str, str]]:
    """Store Results of every kind for Bob, and one without an owner; return each id and its multipart upload id."""
    store, found = served.store, {}
    ends = {
        "pending": State.PENDING,
        "started": State.STARTED,
        "failed": State.FAILURE,
        "revoked": State.REVOKED,
        "succeeded": State.SUCCESS,
    }
    for name, state in ends.items():
        order = Order(id=str(uuid.uuid4()), task="greet", owner="bob", arguments={"name": "bob"})
        announce(store, order)
        failure = Failure("ValueError", "a secret of bob") if state == State.FAILURE else None
        store.save(Result(id=order.id, task="greet", owner="bob", state=state, failure=failure))
        found[name] = (order.id, "upload")
    for name, owner in (("sealed", "bob"), ("nobody's", "")):
        found[name] = (sealed(store, owner), "upload")
    picture = {"name": "a.png", "media_type": "image/png", "task": "shrink", "options": {}}
    found["open upload"] = (bob.post("/v1/uploads", json=picture | {"size_bytes": 5}).json()["id"], "upload")
    parts = {"filename": "a.png", "type": "image/png", "metadata": {"task": "shrink", "size_bytes": 900_000}}
    begun = bob.post("/s3/multipart", json=parts).json()
    found["open upload in parts"] = (begun["key"], begun["uploadId"])
    found["upload in parts, of another id"] = (begun["key"], "another")
    gone = bob.post("/v1/uploads", json=picture | {"size_bytes": 5}).json()["id"]
    bob.delete(f"/v1/uploads/{gone}").raise_for_status()
    found["abandoned upload"] = (gone, "upload")
    deleted = sealed(store, "bob")
    bob.delete(f"/v1/results/{deleted}").raise_for_status()
    found["deleted"] = (deleted, "upload")
    return found


@pytest.fixture
def tenants(served_with_tokens) -> Iterator[tuple[Served, httpx.Client, httpx.Client]]:
    """Serve a gateway with two owners who have all scopes but `admin`."""
    served, token_of = served_with_tokens
    at = served.gateway.base_url
    ann, bob = (
        httpx.Client(base_url=at, headers={"Authorization": f"Bearer {token_of(name, *ALL)}"})
        for name in ("ann", "bob")
    )
    with ann, bob:
        yield served, ann, bob


@pytest.fixture
def on_redis(redis_url, tmp_path, orders, serving) -> Iterator[tuple[Served, httpx.Client]]:
    """Serve the same over Redis, where an owner's list may hold any id; also return Ann's client."""
    index, token = RedisIndex(redis_url, prefix=f"{uuid.uuid4().hex}:"), granted(tmp_path / "tokens", "ann", *ALL)
    chosen = {"auth": "tokens", "auth_tokens_file": str(tmp_path / "tokens"), "secret_key": "k" * 32}
    with serving(tmp_path, orders, index=index, **chosen) as served:
        served.gateway.headers["Authorization"] = f"Bearer {token}"
        yield served, served.gateway


def test_every_route_is_in_the_matrix(tmp_path):
    paths = {path for _, path in routes(made(tmp_path, Orders()))}

    assert paths == WITH_ID | WITHOUT_ID


def test_foreign_id_answers_like_an_unknown_one(tenants, orders, tmp_path):
    served, ann, bob = tenants
    found = results(served, orders, bob)
    before = {name: served.store.load(one) for name, (one, _) in found.items()}
    asked_for, differing = 0, []

    for method, path in sorted(routes(made(tmp_path, Orders()))):
        if path not in WITH_ID:
            continue
        for name, (foreign, upload) in found.items():
            unknown = str(uuid.uuid4())
            answers = [asked(ann, method, path, id=one, upload=upload) for one in (foreign, unknown)]
            for mine, nothing in zip(*answers, strict=True):
                asked_for += 1
                if told(mine, foreign) != told(nothing, unknown) or mine.is_success:
                    differing.append((method, path, name, mine.status_code, nothing.status_code))

    assert differing == []
    assert asked_for > 200
    assert {name: served.store.load(one) for name, (one, _) in found.items()} == before
    assert (orders.sent, orders.cancelled) == ([], [])


# A share of one's own has a random id, which test_share_routes.py covers.
OWN = {one for one in WITH_ID if "/uppy/uploads/" not in one and "{share_id}" not in one}


@pytest.mark.parametrize("path", sorted(OWN))
def test_the_owner_is_not_answered_so(tenants, orders, tmp_path, path):
    # given the same requests of the owner: the matrix would say nothing if all were refused alike
    served, _, bob = tenants
    found = results(served, orders, bob)
    methods = [method for method, one in sorted(routes(made(tmp_path, Orders()))) if one == path]

    answers = [
        one.status_code
        for method in methods
        for mine, upload in found.values()
        for one in asked(bob, method, path, id=mine, upload=upload)
    ]

    assert {one for one in answers if one != HTTPStatus.NOT_FOUND}


def planted(served: Served, *, listed_for: str, owner: str) -> str:
    """Store a Result of `owner` and put its id on the list of another owner."""
    result_id = str(uuid.uuid4())
    served.store.save(Result(id=result_id, owner=listed_for, task="greet", state=State.STARTED))
    served.store.save(Result(id=result_id, owner=owner, task="greet", state=State.SUCCESS, value=b"a secret"))
    assert result_id in set(served.store.ids(owner=listed_for))
    return result_id


@pytest.mark.parametrize("owner", ["bob", ""])
def test_foreign_id_in_owner_list_is_hidden(on_redis, owner):
    served, ann = on_redis
    mine = str(uuid.uuid4())
    served.store.save(Result(id=mine, owner="ann", task="greet", state=State.SUCCESS))
    foreign = planted(served, listed_for="ann", owner=owner)

    for query in ({}, {"q": foreign}, {"task": "greet"}, {"state": "SUCCESS"}, {"limit": "1"}):
        answer = ann.get("/v1/results", params=query)
        assert foreign not in answer.text
    assert [one["id"] for one in ann.get("/v1/results").json()["items"]] == [mine]


@pytest.mark.parametrize("owner", ["bob", ""])
def test_a_foreign_id_is_in_no_snapshot(on_redis, owner):
    served, ann = on_redis
    mine = str(uuid.uuid4())
    served.store.save(Result(id=mine, owner="ann", task="greet", state=State.SUCCESS))
    planted(served, listed_for="ann", owner=owner)

    shown = streamed(ann, {})

    assert [name for name, _ in shown] == ["snapshot"]
    assert [one["id"] for one in shown[0][1]["items"]] == [mine]


def test_a_foreign_id_is_not_replayed(on_redis):
    # given a stream that was left, and an Event of another's Result on it since
    served, ann = on_redis
    served.store.save(Result(id="before", owner="ann", state=State.STARTED))
    place = served.store.index.events.last_event_id("ann")
    foreign = planted(served, listed_for="ann", owner="bob")
    served.store.save(Result(id="after", owner="ann", state=State.STARTED))

    shown = streamed(ann, {"Last-Event-ID": place})

    assert [one["id"] for name, one in shown if name == "result"] == ["after"]
    assert foreign not in json.dumps([one for name, one in shown if name != "removed"])


def test_order_of_another_owner_is_not_retried(tenants, orders):
    # given a Result of Ann's under whose id Bob's order is kept
    served, ann, _ = tenants
    result_id = str(uuid.uuid4())
    announce(served.store, Order(id=result_id, task="greet", owner="bob", arguments={"name": "a secret"}))
    served.store.index.delete(result_id)
    served.store.save(Result(id=result_id, owner="ann", task="greet", state=State.FAILURE))
    assert read_order(served.store, result_id).owner == "bob"

    answer = ann.post(f"/v1/results/{result_id}/retry", json={})

    assert (answer.status_code, answer.json()["slug"]) == (409, "not-repeatable")
    assert "secret" not in answer.text
    assert orders.sent == []


def streamed(client: httpx.Client, headers: dict[str, str]) -> list[tuple[str, dict]]:
    """Return the first complete events of a stream."""
    found: list[tuple[str, dict]] = []
    name = ""
    with client.stream("GET", "/v1/events", headers=headers) as stream:
        assert stream.status_code == 200
        piece, pieces = b"", stream.iter_raw()
        while b"data: " not in piece or not piece.endswith(b"\n\n"):  # it may arrive in several chunks
            piece += next(pieces)
    for line in piece.decode().splitlines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            found.append((name, json.loads(line.removeprefix("data: "))))
    return found
