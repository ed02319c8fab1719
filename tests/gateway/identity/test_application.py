"""`create_app(identify=...)`: an application's own sessions authenticate the callers of the gateway."""

import httpx
import pytest
from fastapi import FastAPI, HTTPException

from resultstore.gateway import Caller, create_app
from resultstore.model.errors import Misconfigured
from tests.gateway.conftest import OFFERS
from tests.gateway.results.test_foreign_ids import sealed
from tests.gateway.test_own_server import made, plainly_served

USERS = {"s-ann": Caller("ann", {"read", "run", "upload"}), "s-bob": Caller("bob", {"read"})}
GREET = {"arguments": {"name": "ann"}}
PREFIX = "/files"


def by_cookie(request):
    return USERS.get(request.cookies.get("session", ""))


async def by_cookie_later(request):
    return by_cookie(request)


class ByCookie:
    async def __call__(self, request):
        return by_cookie(request)


def refused(request):
    raise HTTPException(int(request.headers["x-status"]), "the account is locked")


def gateway(tmp_path, orders, identify, **settings):
    store = made(tmp_path, orders).state.store
    settings = {"secret_key": "k" * 32, **settings}
    store = made(tmp_path, orders, **settings).state.store
    return create_app(store, dispatcher=orders, offers=OFFERS, identify=identify)


@pytest.fixture(params=[by_cookie, by_cookie_later, ByCookie()], ids=["function", "coroutine", "object"])
def client(request, tmp_path, orders):
    """The gateway below a path of an application that has signed ann in."""
    outer = FastAPI()
    outer.mount(PREFIX, gateway(tmp_path, orders, request.param))
    with plainly_served(outer) as url, httpx.Client(base_url=url + PREFIX, cookies={"session": "s-ann"}) as client:
        yield client


def test_the_session_names_owner_and_scopes(client):
    session = client.get("/v1/session").json()

    assert (session["mode"], session["owner"], session["scopes"]) == ("application", "ann", ["read", "run", "upload"])


def test_callers_see_their_own_results_only(client, orders):
    own, foreign = sealed(orders.store, "ann"), sealed(orders.store, "bob")

    found = [client.get(f"/v1/results/{one}").status_code for one in (own, foreign)]  # by the fast path
    asked = [client.get(f"/v1/results/{one}", params={"x": 1}).status_code for one in (own, foreign)]

    assert found == asked == [200, 404]


@pytest.mark.parametrize("cookie", ["", "s-carol"])
@pytest.mark.parametrize("path", ["/v1/session", "/v1/results/x", "/v1/events", "/v1/results?limit=1"])
def test_no_session_is_unauthenticated(client, cookie, path):
    answer = client.get(path, headers={"Cookie": f"session={cookie}", "Authorization": "Bearer x"})

    assert (answer.status_code, answer.json()["slug"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Session"


def test_a_scope_that_is_missing_is_refused(client, orders):
    answer = client.post("/v1/tasks/greet", json=GREET, headers={"Cookie": "session=s-bob"})

    assert (answer.status_code, answer.json()["slug"]) == (403, "scope-missing")
    assert orders.sent == []


def test_the_page_of_the_same_server_may_write(client, orders):
    origin = f"http://{client.base_url.host}:{client.base_url.port}"

    answer = client.post("/v1/tasks/greet", json=GREET, headers={"Origin": origin, "Sec-Fetch-Site": "same-origin"})

    assert answer.status_code == 202
    assert [one.owner for one in orders.sent] == ["ann"]
    assert answer.headers["location"].startswith(f"{PREFIX}/v1/results/")


@pytest.mark.parametrize("origin", ["http://evil.example", "https://127.0.0.1:{port}", "http://127.0.0.1:1", "null"])
def test_other_origins_cannot_use_the_cookie(client, orders, origin):
    answer = client.post("/v1/tasks/greet", json=GREET, headers={"Origin": origin.format(port=client.base_url.port)})

    assert (answer.status_code, answer.json()["slug"]) == (403, "cross-site")
    assert orders.sent == []


def test_a_link_cannot_begin_an_upload(client, orders):
    linked = {
        "Accept": "application/json",
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Dest": "document",
    }
    query = {"filename": "a.png", "type": "image/png", "metadata[task]": "shrink", "metadata[size_bytes]": "9"}

    crossed = client.get("/s3/params", params=query, headers=linked)
    own = client.get("/s3/params", params=query, headers={"Accept": "application/json"})

    assert (crossed.status_code, own.status_code) == (403, 200), own.text


@pytest.mark.parametrize("path", ["/v1/session", "/v1/results/x"])
@pytest.mark.parametrize(("status", "slug"), [(401, "unauthenticated"), (403, "http-error")])
def test_an_applications_refusal_keeps_its_status(tmp_path, orders, path, status, slug):
    with plainly_served(gateway(tmp_path, orders, refused)) as url:
        answer = httpx.get(f"{url}{path}", headers={"x-status": str(status)})

    assert (answer.status_code, answer.json()["slug"], answer.json()["detail"]) == (
        status,
        slug,
        "the account is locked",
    )


@pytest.mark.parametrize(
    "wrong",
    [
        "ann",
        Caller("", frozenset({"read"})),
        Caller("a\nb", frozenset({"read"})),
        Caller("ann", "read"),
        Caller("ann", frozenset({"write"})),
    ],
    ids=str,
)
def test_an_invalid_caller_is_never_let_in(tmp_path, orders, wrong):
    with plainly_served(gateway(tmp_path, orders, lambda _: wrong)) as url:
        answers = [httpx.get(f"{url}{path}") for path in ("/v1/session", "/v1/results/x")]

    assert [one.status_code for one in answers] == [500, 500]
    assert {one.json()["slug"] for one in answers} == {"internal-error"}


def test_own_sessions_need_the_secret_key(tmp_path, orders):
    with pytest.raises(Misconfigured, match="RESULTSTORE_SECRET_KEY"):
        gateway(tmp_path, orders, by_cookie, secret_key="")


@pytest.mark.parametrize("path", ["/v1/session", "/v1/results/x"])
@pytest.mark.parametrize(("status", "answered"), [(200, 500), (204, 500), (499, 500), (303, 303), (503, 503)])
def test_exception_never_lets_anyone_in(tmp_path, orders, path, status, answered):
    with plainly_served(gateway(tmp_path, orders, refused)) as url:
        answer = httpx.get(f"{url}{path}", headers={"x-status": str(status)})

    assert answer.status_code == answered
