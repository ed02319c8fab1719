"""Receivers: real HTTP servers that receive webhooks, and the gateway threads that send them."""

import base64
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from resultstore.gateway.views import result_json
from resultstore.index.redis.driver import RedisIndex
from resultstore.settings import Settings
from resultstore.store import Store
from resultstore.webhooks import noticing, sending
from resultstore.webhooks.hooks import Webhooks
from resultstore.webhooks.running import sending_webhooks
from resultstore.webhooks.sending import WebhookSender

SECRET = "whsec_" + base64.b64encode(b"a secret of the tests, 32 bytes.").decode()
SOON_S = 10.0


def soon(question: Callable[[], object], seconds: float = SOON_S) -> object:
    end = time.monotonic() + seconds
    while not (found := question()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return found


class Answering(BaseHTTPRequestHandler):
    """Record each request, and answer as the test says."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append((self.path, dict(self.headers), body))
        self.server.answer(self, len(self.server.got))

    def log_message(self, *_):
        pass


class Receiver(ThreadingHTTPServer):
    """A server; `answer(handler, nth)` answers the nth request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.answer = with_status(204)
        self.url = f"http://127.0.0.1:{self.server_port}/hook"


def with_status(*statuses: int, headers: dict[str, str] | None = None):
    """Answer with one status after the other; repeat the last one."""

    def answer(handler: BaseHTTPRequestHandler, nth: int) -> None:
        handler.send_response(statuses[min(nth, len(statuses)) - 1])
        for name, value in ({"Content-Length": "0"} | (headers or {})).items():
            handler.send_header(name, value)
        handler.end_headers()

    return answer


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@dataclass
class Gateway:
    """The webhooks of one gateway process."""

    store: Store
    webhooks: Webhooks
    sending: WebhookSender | None = field(default=None)


@pytest.fixture
def settings(receiver: Receiver) -> Settings:
    return Settings(
        webhook_secret=SECRET,
        secret_key="k" * 32,
        outgoing_ports=str(receiver.server_port),
        outgoing_private="127.0.0.0/8",
    )


@pytest.fixture
def prefix() -> str:
    return f"{uuid.uuid4().hex}:"


@pytest.fixture
def made(redis_url: str, settings: Settings, prefix: str) -> Callable[[], Gateway]:
    """Make a gateway that does not send yet. All share one index."""

    def make() -> Gateway:
        index = RedisIndex(redis_url, prefix=prefix)
        store = Store(index=index, blobs=None, signer=None, settings=settings)
        return Gateway(store, Webhooks(store))

    return make


@contextmanager
def running(gateway: Gateway) -> Iterator[Gateway]:
    with sending_webhooks(gateway.webhooks, gateway.store, result_json) as gateway.sending:
        yield gateway


@pytest.fixture
def gateway(made: Callable[[], Gateway]) -> Iterator[Gateway]:
    """A gateway that sends."""
    with running(made()) as gateway:
        yield gateway


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten all pauses."""
    monkeypatch.setattr(sending, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(sending, "LONGEST_PAUSE_S", 0.05)
    monkeypatch.setattr(sending, "_POLL_S", 0.05)
    monkeypatch.setattr(noticing, "CHECK_S", 0.1)
    monkeypatch.setattr(noticing, "_WAIT_S", 0.05)
