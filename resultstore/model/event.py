"""Event: one change of one Result, as watchers see it. A hint, never the truth."""

import msgspec

from resultstore.model.result import Progress


class Event(msgspec.Struct, frozen=True, array_like=True):
    """The id that changed, the state it is in now (`seal.DELETED` when it is gone), how far it is, how much it made.

    `artifacts` is a number: with the state it says whether a watcher must read the record again.
    """

    id: str
    state: str
    progress: Progress | None = None
    artifacts: int = 0


class Announcement(Event, frozen=True, array_like=True):
    """An Event with its record, where that is small and all there is: whoever waits for it need not look it up."""

    record: bytes = b""


class Told(msgspec.Struct, frozen=True):
    """What a Feed says of an owner: an Event at its place in the owner's stream.

    Args:
        owner: whose Result it is; "" for one that nobody owns.
        at: the stream's id of the Event, `<ms since the epoch>-<n>`; "" where no stream keeps it.
        event: None says that the owner is heard from now on: what came before may have been missed.
    """

    owner: str
    at: str = ""
    event: Event | None = None
