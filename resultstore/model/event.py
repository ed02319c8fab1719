"""Event: one change of one Result, as watchers see it. A hint, never the truth."""

import msgspec

from resultstore.model.result import Progress
from resultstore.model.spill import Spill


class Event(msgspec.Struct, frozen=True, array_like=True):
    """The id that changed, the state it is in now (`seal.DELETED` when it is gone), how far it is, how much it made.

    `artifacts` is a number: with the state it says whether a watcher must read the record again.
    """

    id: str
    state: str
    progress: Progress | None = None
    artifacts: int = 0


class Announcement(Event, frozen=True, array_like=True):
    """An Event with more, for whoever waits for its id.

    Args:
        record: the record, where it is small: it need not be looked up.
        beside: what lies beside that record; b"" for nothing.
        early: where the value stands that the attempt is about to seal. It counts once a record names it.
    """

    record: bytes = b""
    beside: bytes = b""
    early: Spill | None = None


class OwnerEvent(msgspec.Struct, frozen=True):
    """What a Feed says of an owner: an Event at its place in the owner's stream.

    Args:
        owner: whose Result it is; "" for one that nobody owns.
        at: the stream's id of the Event, `<ms since the epoch>-<n>`; "" where no stream keeps it.
        event: None says that the owner is heard from now on: what came before may have been missed.
    """

    owner: str
    at: str = ""
    event: Event | None = None
