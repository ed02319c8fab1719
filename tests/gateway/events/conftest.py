"""Fixtures of the event stream tests: a gateway over a real Redis, and clients that read its stream."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus

import httpx
import pytest

from resultstore.gateway.app import create_app
from resultstore.gateway.events.hub import Hub
from resultstore.gateway.identity.application import by_header
from resultstore.gateway.identity.caller import Caller
from resultstore.gateway.listeners import limit_send_buffers
from resultstore.gateway.problems import Problem
from resultstore.index.redis.driver import RedisIndex
from resultstore.settings import Settings
from resultstore.store import Store
from tests.gateway.conftest import _bound, _url, running

SOON_S = 10.0


class NameIdentities:
    """Uses the token as the owner's name; an owner that starts with `admin` has the scope `admin`."""

    mode = "tokens"

    async def caller(self, authorization: str) -> Caller:
        name = authorization.removeprefix("Bearer ")
        if not name:
            raise Problem(HTTPStatus.UNAUTHORIZED, "unauthenticated", "who?")
        return Caller(name, frozenset({"read", "admin"} if name.startswith("admin") else {"read"}))


@dataclass
class ReceivedEvent:
    """One event as a browser receives it."""

    name: str
    data: dict
    id: str = ""


@dataclass
class Reader:
    """Reads one stream on a separate thread."""

    url: str
    headers: dict[str, str]
    events: list[ReceivedEvent] = field(default_factory=list)
    comments: int = 0
    answer: httpx.Response | None = None
    ended: str = ""

    def __post_init__(self) -> None:
        self._came = threading.Condition()
        self._left = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            with httpx.stream("GET", f"{self.url}/v1/events", headers=self.headers, timeout=SOON_S * 3) as answer:
                self._note(answer=answer)
                if answer.status_code != 200:
                    answer.read()
                lines: list[str] = []
                for line in answer.iter_lines():
                    if self._left:
                        return
                    if line:
                        lines.append(line)
                    elif lines:
                        self._message(lines)
                        lines = []
            self._note(ended="in order")
        except httpx.HTTPError as error:
            self._note(ended=type(error).__name__)

    def _message(self, lines: list[str]) -> None:
        parts = dict(line.partition(":")[::2] for line in lines)
        with self._came:
            if list(parts) == [""]:
                self.comments += 1
            else:
                data = json.loads(parts["data"])
                self.events.append(ReceivedEvent(parts["event"].strip(), data, parts.get("id", "").strip()))
            self._came.notify_all()

    def _note(self, **seen: object) -> None:
        with self._came:
            for name, value in seen.items():
                setattr(self, name, value)
            self._came.notify_all()

    def leave(self) -> None:
        """Disconnect when the next line arrives."""
        self._left = True

    def until(self, question: Callable[["Reader"], object], seconds: float = SOON_S) -> None:
        with self._came:
            assert self._came.wait_for(lambda: question(self), seconds), (self.events[-5:], self.ended)

    def took(self, count: int) -> list[tuple[str, object]]:
        """Wait for `count` events and return the name and the subject of each."""
        self.until(lambda one: len(one.events) >= count)
        return [about(one) for one in self.events[:count]]


def about(told: ReceivedEvent) -> tuple[str, object]:
    """Return the name and the subject of an event."""
    match told.name:
        case "snapshot":
            return "snapshot", [(one["id"], one["state"]) for one in told.data["items"]]
        case "reset":
            return "reset", {}
        case "change":
            return "change", (told.data["id"], told.data["progress"] and told.data["progress"]["done"])
        case "removed":
            return "removed", told.data["id"]
        case name:
            return name, (told.data["id"], told.data["state"])


@dataclass
class Watched:
    """A store, its gateway and the gateway's hub."""

    store: Store
    hub: Hub
    url: str

    def reader(self, owner: str, *, last_id: str = "") -> Reader:
        """Open a stream and wait until something has arrived."""
        headers = {"Authorization": f"Bearer {owner}"} | ({"Last-Event-ID": last_id} if last_id else {})
        reader = Reader(self.url, headers)
        reader.until(lambda one: one.events or one.comments or one.ended)
        return reader


@pytest.fixture
def owner() -> str:
    return f"ann-{uuid.uuid4().hex}"


@pytest.fixture
def other() -> str:
    return f"bob-{uuid.uuid4().hex}"


@pytest.fixture
def watched(redis_url: str) -> Iterator[Watched]:
    """Serve a gateway over the shared Redis, with a unique prefix."""
    with_prefix = RedisIndex(redis_url, prefix=f"{uuid.uuid4().hex}:")
    yield from serving(with_prefix)


def serving(index: RedisIndex) -> Iterator[Watched]:
    """Serve a gateway over `index`."""
    at = _bound()
    limit_send_buffers(at)
    store = Store(index=index, blobs=None, signer=None, settings=Settings())
    app = create_app(store)
    app.state.authenticate = by_header(NameIdentities())
    with running((app, at)):
        yield Watched(store, app.state.hub, _url(at))
        app.state.hub.close()
        end = time.monotonic() + SOON_S
        while app.state.hub.viewers:
            assert time.monotonic() < end
            time.sleep(0.01)
