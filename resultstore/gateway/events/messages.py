"""Messages of the event stream, encoded as server-sent events."""

import time
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
from pydantic import BaseModel

from resultstore.model.event import Event
from resultstore.model.result import Result

# WHATWG HTML, section 9.2.5: a line that begins with a colon is a comment.
HEARTBEAT: Final = b":\n\n"
RESET: Final = b"event: reset\ndata: {}\n\n"

StreamPosition = tuple[int, int]
View = Callable[[Result], BaseModel]


class SseMessage(msgspec.Struct, frozen=True):
    """One message for every viewer of an owner.

    Args:
        owner: the owner whose viewers receive it.
        position: the stream position of the last Event that it covers; None if the stream does not hold it.
        message: the bytes to send; b"" means that changes were missed and a new snapshot is needed.
    """

    owner: str
    position: StreamPosition | None
    message: bytes


def parse_position(at: str) -> StreamPosition | None:
    """Return the two numbers of a Redis stream id, or None for anything else."""
    ms, _, n = at.partition("-")
    if not (ms.isdecimal() and n.isdecimal() and at.isascii()) or len(at) > 41:  # noqa: PLR2004  two of 64 bits
        return None
    position = (int(ms), int(n))
    return position if max(position) < 1 << 64 else None


def snapshot_message(views: Iterable[BaseModel], *, at: str, complete: bool) -> bytes:
    """Return the message `snapshot`, with which a stream begins."""
    items = b",".join(view.model_dump_json().encode() for view in views)
    return _message("snapshot", b'{"items":[%b],"complete":%b}' % (items, b"true" if complete else b"false"), at=at)


def result_message(view: BaseModel, *, at: str) -> bytes:
    """Return the message `result`: the state or the Artifacts of a Result have changed."""
    return _message("result", view.model_dump_json().encode(), at=at)


def change_message(event: Event, *, at: str) -> bytes:
    """Return the message `change`: progress of a Result in the same state and with the same Artifacts."""
    position, now = parse_position(at), event.progress
    shown = None if now is None else {"done": now.done, "total": now.total, "percent": now.percent, "note": now.note}
    changed_at = time.time() if position is None else position[0] / 1000
    change = {"id": event.id, "state": event.state, "progress": shown, "changed_at": changed_at}
    return _message("change", msgspec.json.encode(change), at=at)


def removed_message(event: Event, *, at: str) -> bytes:
    """Return the message `removed`: a Result was deleted."""
    return _message("removed", msgspec.json.encode({"id": event.id}), at=at)


def _message(kind: str, document: bytes, *, at: str) -> bytes:
    """Return one server-sent event; encoded JSON has no line breaks, so one `data` line holds it."""
    position = f"id: {at}\n" if at else ""
    return f"event: {kind}\n{position}data: ".encode() + document + b"\n\n"
