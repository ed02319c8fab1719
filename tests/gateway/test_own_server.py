"""The promises of `create_app` hold under any ASGI server, not only under `resultstore gateway`."""

import asyncio
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from resultstore.blobs.local.driver import LocalBlobs
from resultstore.blobs.local.signer import LocalSigner
from resultstore.gateway.app import create_app
from resultstore.index.index import Index
from resultstore.index.memory.driver import MemoryIndex
from resultstore.index.redis.driver import RedisIndex
from resultstore.model.errors import Misconfigured
from resultstore.model.result import Result, State
from resultstore.settings import Settings
from resultstore.store import Store
from resultstore.uploads.ticket import TicketStore
from tests.gateway.conftest import OFFERS, Orders

FOREIGN = ("203.0.113.9", 4711)
LOCAL = ("127.0.0.1", 4711)
SOON_S = 30.0


def made(
    tmp_path: Path, orders: Orders | None = None, *, index: Index | None = None, **settings: str | bool
) -> FastAPI:
    """Return an application over a folder, as a user's module creates it."""
    blobs = LocalBlobs(tmp_path / "blobs")
    signer = LocalSigner(b"a secret of the tests, 32 bytes.", "http://127.0.0.1:1")
    chosen = Settings(index_url="memory://", **settings)
    store = Store(index=index or MemoryIndex(), blobs=blobs, signer=signer, settings=chosen)
    if orders is not None:
        orders.store = store
    return create_app(store, dispatcher=orders, offers=OFFERS)


@contextmanager
def plainly_served(app: FastAPI, *, host: str = "127.0.0.1", **config: object) -> Iterator[str]:
    """Serve `app` with plain uvicorn on `host`; return its loopback URL."""
    with socket.create_server((host, 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, **config))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(SOON_S)


async def answer(
    app: FastAPI, *, client: tuple[str, int] | None, server: tuple | None = ("0.0.0.0", 80), **headers: str
) -> tuple[int, str]:
    """Return status and text of the response when the server reports these addresses."""
    sent: list[dict] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/v1/session",
        "raw_path": b"/v1/session",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost"), *((name.encode(), value.encode()) for name, value in headers.items())],
        "client": client,
        "server": server,
    }

    async def receive() -> dict:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], b"".join(one.get("body", b"") for one in sent).decode()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("client", "server"),
    [
        (FOREIGN, ("0.0.0.0", 80)),
        (("10.0.0.1", 1), ("10.0.0.1", 80)),
        (("2001:db8::1", 1), ("::", 80)),
        (("::ffff:203.0.113.9", 1), ("::", 80)),
        (("localhost.evil.example", 1), ("0.0.0.0", 80)),
        (None, ("0.0.0.0", 80)),  # a peer that has reset its connection
        (None, None),
    ],
)
async def test_open_mode_refuses_other_peers(tmp_path, client, server):
    status, text = await answer(made(tmp_path), client=client, server=server)

    assert status == 403
    assert '"slug":"local-only"' in text
    assert "RESULTSTORE_AUTH" in text


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("client", "server"),
    [
        (LOCAL, ("127.0.0.1", 80)),
        (("127.9.9.9", 1), ("0.0.0.0", 80)),
        (("::1", 1), ("::", 80)),
        (("::ffff:127.0.0.1", 1), ("::", 80)),
        (None, ("/run/gateway.sock", None)),
    ],
)
async def test_open_mode_answers_this_machine(tmp_path, client, server):
    assert (await answer(made(tmp_path), client=client, server=server))[0] == 200


@pytest.mark.anyio
@pytest.mark.parametrize(
    "name", ["x-forwarded-for", "forwarded", "x-real-ip", "via", "x-forwarded-host", "cf-connecting-ip"]
)
async def test_open_mode_refuses_what_a_proxy_passes_on(tmp_path, name):
    status, text = await answer(made(tmp_path), client=LOCAL, **{name: "127.0.0.1"})

    assert status == 403
    assert "RESULTSTORE_OPEN_BEHIND_PROXY" in text


@pytest.mark.anyio
async def test_a_proxy_that_was_accepted_passes_on(tmp_path):
    app = made(tmp_path, open_behind_proxy=True)

    assert (await answer(app, client=LOCAL, via="1.1 proxy"))[0] == 200
    assert (await answer(app, client=FOREIGN, via="1.1 proxy"))[0] == 403


def test_a_proxy_in_front_of_uvicorn_is_refused(tmp_path):
    with plainly_served(made(tmp_path)) as url:  # uvicorn's default takes the client's address from this header
        told = {
            given: httpx.get(f"{url}/v1/session", headers={"X-Forwarded-For": given}) for given in ("", "127.0.0.1")
        }
        assert {given: one.status_code for given, one in told.items()} == {"": 403, "127.0.0.1": 403}
        assert httpx.get(f"{url}/v1/session").status_code == 200


def test_a_unix_socket_is_this_machine(tmp_path):
    path = str(tmp_path / "socket")
    server = uvicorn.Server(uvicorn.Config(made(tmp_path), uds=path, log_config=None))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        _soon(lambda: server.started)
        with httpx.Client(transport=httpx.HTTPTransport(uds=path), base_url="http://localhost") as client:
            assert client.get("/v1/session").status_code == 200
    finally:
        server.should_exit = True
        thread.join(SOON_S)


def test_tokens_need_the_secret_key(tmp_path, monkeypatch):
    monkeypatch.delenv("RESULTSTORE_SECRET_KEY", raising=False)
    (tmp_path / "tokens").write_text("sha256:" + "0" * 64 + " ann read\n")

    with pytest.raises(Misconfigured, match="RESULTSTORE_SECRET_KEY"):
        made(tmp_path, auth="tokens", auth_tokens_file=str(tmp_path / "tokens"))


def _mounted(app: FastAPI) -> tuple[FastAPI, dict[str, object], str]:
    outer = FastAPI()
    outer.mount("/results", app)
    return outer, {}, "/results"


SERVERS = {
    "lifespan": lambda app: (app, {}, ""),
    "no lifespan": lambda app: (app, {"lifespan": "off"}, ""),
    "mounted": _mounted,
}


@pytest.mark.parametrize("server", SERVERS)
def test_finished_uploads_are_picked_up(tmp_path, orders, redis_url, server):
    # given an upload whose sender never says that it is done
    app = made(tmp_path, orders, index=RedisIndex(redis_url, prefix=f"{uuid.uuid4().hex}:"))
    outer, config, prefix = SERVERS[server](app)
    body = b"\x89PNG\r\n\x1a\n" + bytes.fromhex("0000000d49484452000000010000000108020000009077" + "53de") + bytes(50)
    query = {"filename": "a.png", "type": "image/png"} | {
        f"metadata[{name}]": value for name, value in {"task": "shrink", "size_bytes": str(len(body))}.items()
    }

    with plainly_served(outer, **config) as url:
        asked = httpx.get(f"{url}{prefix}/s3/params", params=query, headers={"Accept": "application/json"})
        assert asked.status_code == 200, asked.text
        key = asked.json()["fields"]["key"]
        ticket = TicketStore(orders.store).find(key)
        orders.store.blobs.put(ticket.key, iter([body]), media_type="image/png")

        _soon(lambda: orders.sent)

    assert [one.id for one in orders.sent] == [key]


def test_background_work_ends_with_the_lifespan(tmp_path):
    app = made(tmp_path)
    before = threading.active_count()

    for _ in range(2):
        with plainly_served(app) as url:
            assert httpx.get(f"{url}/livez").status_code == 200
    _soon(lambda: threading.active_count() <= before)

    assert app.state.background.sending is None


def test_streams_go_on_after_a_restart(tmp_path):
    app = made(tmp_path)
    seen = []

    for number in range(2):
        with (
            plainly_served(app, timeout_graceful_shutdown=1) as url,
            httpx.stream("GET", f"{url}/v1/events", timeout=SOON_S) as stream,
        ):
            lines = stream.iter_lines()
            seen.append(next(lines))
            app.state.store.save(Result(id=f"n{number}", state=State.STARTED, owner="local"))
            seen.append(next(one for one in lines if one == "event: result"))

    assert seen == ["event: snapshot", "event: result"] * 2


def _soon(question) -> None:
    end = time.monotonic() + SOON_S
    while not question():
        assert time.monotonic() < end
        time.sleep(0.02)
