"""Fixtures of the gateway tests: both listeners on real sockets, over a folder and an in-memory index."""

import asyncio
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import httpx
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import FastAPI
from pydantic import Field
from starlette.types import ASGIApp

from resultstore import Offer, Options
from resultstore.blobs.local.driver import LocalBlobs
from resultstore.blobs.local.signer import LocalSigner
from resultstore.dispatch.orders import Order, announce
from resultstore.gateway.app import create_app
from resultstore.gateway.identity import static_tokens
from resultstore.gateway.identity.token_file import TokenEntry, append_entry, new_token, token_hash
from resultstore.gateway.local_bytes.app import create_bytes_app
from resultstore.gateway.middleware.slow_clients import SlowClientProtocol
from resultstore.index.index import Index
from resultstore.index.memory.driver import MemoryIndex
from resultstore.model.errors import BrokerUnavailable
from resultstore.settings import Settings
from resultstore.store import Store
from tests.gateway.identity.issuer import Issuer

SECRET = b"a secret of the tests, 32 bytes."
STOPS_WITHIN_S = 30


@pytest.fixture
def anyio_backend() -> str:
    """Run coroutine tests in asyncio's loop, as the gateway does."""
    return "asyncio"


@pytest.fixture(scope="module")
def rsa_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def issuer():
    with Issuer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.free.set()
        server.shutdown()
        thread.join()


@dataclass
class Served:
    """A Store with its gateway and its bytes listener, reachable by HTTP."""

    store: Store
    blobs: LocalBlobs
    signer: LocalSigner
    gateway: httpx.Client
    bytes: httpx.Client


@pytest.fixture
def served(tmp_path: Path, orders: "Orders") -> Iterator[Served]:
    """Serve both listeners; the clients follow no redirects."""
    with serving(tmp_path, orders) as served:
        yield served


@pytest.fixture
def served_with_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, orders: "Orders"
) -> Iterator[tuple[Served, Callable[..., str]]]:
    """Serve callers with tokens; also return a function that makes one: `token_of("ann", "read", "run")`."""
    file = tmp_path / "tokens"
    token_of = partial(granted, file)
    token_of("somebody", "read")
    monkeypatch.setattr(static_tokens, "RELOAD_CHECK_S", 0.0)
    chosen = {"auth": "tokens", "auth_tokens_file": str(file), "secret_key": "k" * 32}
    with serving(tmp_path, orders, **chosen) as served:
        yield served, token_of


def granted(file: Path, owner: str, *scopes: str) -> str:
    """Return a new token, which a running gateway accepts at once."""
    token = new_token()
    append_entry(file, TokenEntry(token_hash(token), owner, frozenset(scopes)))
    return token


class Orders:
    """A task queue that only records what was sent; it announces Results like a real one."""

    def __init__(self) -> None:
        self.store: Store | None = None
        self.sent: list[Order] = []
        self.cancelled: list[str] = []
        self.away = False

    def send(self, order: Order) -> None:
        if self.away:
            raise BrokerUnavailable("the broker at amqp://rabbit.internal does not answer")
        announce(self.store, order)
        self.sent.append(order)

    def probe(self) -> None:
        if self.away:
            raise BrokerUnavailable("the broker at amqp://rabbit.internal does not answer")

    def cancel(self, result_id: str) -> None:
        self.cancelled.append(result_id)


class Greeting(Options):
    """The arguments of the offered task `greet`."""

    name: Annotated[str, Field(max_length=20)]
    times: int = 1


OFFERS = {
    "greet": Offer(task="greet", title="Say hello", arguments=Greeting),
    "shrink": Offer(task="shrink", title="Make it smaller", takes=("image/png",), max_bytes=1_000_000),
}


@pytest.fixture(name="running")
def running_fixture() -> Callable[..., AbstractContextManager[None]]:
    """Return a function that serves an application."""
    return running


@pytest.fixture(name="serving")
def serving_fixture() -> Callable[..., AbstractContextManager[Served]]:
    """Return a function that serves a gateway with the given settings."""
    return serving


@pytest.fixture
def orders() -> Orders:
    return Orders()


@contextmanager
def serving(
    tmp_path: Path, orders: Orders | None = None, *, index: Index | None = None, **settings: str
) -> Iterator[Served]:
    """Serve both listeners within the block."""
    gateway_socket, bytes_socket = _bound(), _bound()
    blobs = LocalBlobs(tmp_path / "blobs")
    signer = LocalSigner(SECRET, _url(bytes_socket))
    port = gateway_socket.getsockname()[1]
    chosen = Settings(index_url="memory://", url_expires_s=60, gateway_port=port, **settings)
    store = Store(index=index or MemoryIndex(), blobs=blobs, signer=signer, settings=chosen)
    if orders is not None:
        orders.store = store
    with (
        running(
            (create_app(store, dispatcher=orders, offers=OFFERS), gateway_socket),
            (create_bytes_app(blobs, signer, origins=[_url(gateway_socket)]), bytes_socket),
        ),
        httpx.Client(base_url=_url(gateway_socket)) as gateway,
        httpx.Client(base_url=_url(bytes_socket)) as by_bytes,
    ):
        yield Served(store, blobs, signer, gateway, by_bytes)


@contextmanager
def running(*listeners: tuple[ASGIApp, socket.socket]) -> Iterator[None]:
    """Serve each app on its socket within the block, in one event loop on a thread.

    No background work runs: a test that needs some starts it.
    """
    for app, _ in listeners:
        if isinstance(app, FastAPI):
            app.state.background.stop()
    configs = [uvicorn.Config(app, http=SlowClientProtocol, log_config=None, lifespan="off") for app, _ in listeners]
    servers = [uvicorn.Server(one) for one in configs]

    async def serve() -> None:
        await asyncio.gather(*(one.serve(sockets=[at]) for one, (_, at) in zip(servers, listeners, strict=True)))

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        while not all(one.started for one in servers):
            time.sleep(0.005)
        yield
    finally:
        for one in servers:
            one.should_exit = one.force_exit = True
        thread.join(STOPS_WITHIN_S)
        if thread.is_alive():
            stacks = "\n".join("".join(traceback.format_stack(frame)) for frame in sys._current_frames().values())
            pytest.fail(f"the gateway did not stop within {STOPS_WITHIN_S} s; its threads:\n{stacks}")


def _bound() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def _url(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"
