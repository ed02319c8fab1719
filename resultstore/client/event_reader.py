"""EventReader: the gateway's event stream (SSE), resumed after a broken connection."""

import random
import time
from collections.abc import Iterator
from typing import Final

import httpx
import msgspec

from resultstore.client.answers import RemoteEvent, RemoteProgress, RemoteResult
from resultstore.client.requests import GatewayRequests, raise_problem

SILENCE_S: Final = 45.0  # the gateway sends a comment every 15 s
_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 15.0
_TEMPORARY: Final = frozenset({408, 429, 500, 502, 503, 504})


class _Snapshot(msgspec.Struct):
    items: tuple[RemoteResult, ...] = ()


class _Change(msgspec.Struct):
    id: str
    progress: RemoteProgress | None = None


class EventReader:
    """Reads events without end; after a break it connects again and asks for what it missed.

    Args:
        requests: the gateway.
        after: the position after which to begin; "" begins with a snapshot.
    """

    def __init__(self, requests: GatewayRequests, after: str = "") -> None:
        self._requests = requests
        self._position = after
        self._failures = 0

    def read(self) -> Iterator[RemoteEvent]:
        """Yield events. Raises RequestRefused when the gateway refuses the stream for good."""
        while True:
            try:
                yield from self._connected()
            except httpx.TransportError:
                self._failures += 1
            pause_s = min(_LONGEST_PAUSE_S, _PAUSE_S * 2 ** min(self._failures, 10))
            time.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret

    def _connected(self) -> Iterator[RemoteEvent]:
        headers = {**self._requests.headers, "Accept": "text/event-stream"}
        if self._position:
            headers["Last-Event-ID"] = self._position
        timeout = httpx.Timeout(30.0, read=SILENCE_S)
        url = self._requests.url("/events")
        with self._requests.http.stream("GET", url, headers=headers, timeout=timeout) as response:
            if response.status_code in _TEMPORARY:
                self._failures += 1
                return
            if not response.is_success:
                response.read()
                raise_problem(response)
            self._failures = 0
            for fields in _messages(response.iter_lines()):
                if (position := fields.get("id", "")) or fields["event"] == "snapshot":
                    self._position = position
                event = _event(fields)
                if event is not None:
                    yield event


def _messages(lines: Iterator[str]) -> Iterator[dict[str, str]]:
    """Yield the fields of each message (WHATWG HTML, section 9.2.6). The gateway writes one line for each field."""
    fields: dict[str, str] = {}
    for line in lines:
        if not line:
            if "event" in fields:
                yield fields
            fields = {}
            continue
        name, _, value = line.partition(":")
        if name:  # a line that begins with a colon is a comment
            fields[name] = value.removeprefix(" ")


def _event(fields: dict[str, str]) -> RemoteEvent | None:
    """Return the event of a message; None for one of a kind that this version does not know."""
    kind, position, data = fields["event"], fields.get("id", ""), fields.get("data", "{}").encode()
    match kind:
        case "snapshot":
            items = msgspec.json.decode(data, type=_Snapshot).items
            return RemoteEvent(kind=kind, results=items, position=position)
        case "result":
            result = msgspec.json.decode(data, type=RemoteResult)
            return RemoteEvent(kind=kind, id=result.id, results=(result,), position=position)
        case "change" | "removed":
            change = msgspec.json.decode(data, type=_Change)
            return RemoteEvent(kind=kind, id=change.id, progress=change.progress, position=position)
        case _:
            return None
