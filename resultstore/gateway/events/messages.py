"""Frames: what an event stream says, in the form of server-sent events."""

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

Place = tuple[int, int]
View = Callable[[Result], BaseModel]


class SseMessage(msgspec.Struct, frozen=True):
    """One message for every viewer of an owner.

    Args:
        owner: whose viewers get it.
        place: of the last Event that it speaks of, in the owner's stream; None where none keeps it.
        message: the bytes to send; b"" says that something was missed: begin anew.
    """

    owner: str
    place: Place | None
    message: bytes


def place_of(at: str) -> Place | None:
    """The two numbers of a stream's id; None for anything else."""
    ms, _, n = at.partition("-")
    if not (ms.isdecimal() and n.isdecimal() and at.isascii()) or len(at) > 41:  # noqa: PLR2004  two of 64 bits
        return None
    place = (int(ms), int(n))
    return place if max(place) < 1 << 64 else None


def snapshot_message(views: Iterable[BaseModel], *, at: str, complete: bool) -> bytes:
    """Everything that a viewer begins with."""
    items = b",".join(view.model_dump_json().encode() for view in views)
    return _message("snapshot", b'{"items":[%b],"complete":%b}' % (items, b"true" if complete else b"false"), at=at)


def result_message(view: BaseModel, *, at: str) -> bytes:
    """A Result whose state or Artifacts have changed."""
    return _message("result", view.model_dump_json().encode(), at=at)


def change_message(event: Event, *, at: str) -> bytes:
    """A Result that is further than before, in the same state and with the same Artifacts."""
    place, now = place_of(at), event.progress
    shown = None if now is None else {"done": now.done, "total": now.total, "percent": now.percent, "note": now.note}
    changed_at = time.time() if place is None else place[0] / 1000
    change = {"id": event.id, "state": event.state, "progress": shown, "changed_at": changed_at}
    return _message("change", msgspec.json.encode(change), at=at)


def removed_message(event: Event, *, at: str) -> bytes:
    """A Result that was deleted."""
    return _message("removed", msgspec.json.encode({"id": event.id}), at=at)


def _message(kind: str, document: bytes, *, at: str) -> bytes:
    """JSON has no line breaks of its own, so that one data line holds it whole."""
    place = f"id: {at}\n" if at else ""
    return f"event: {kind}\n{place}data: ".encode() + document + b"\n\n"
