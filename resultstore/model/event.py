"""Event: the notification of one change of one Result; the record is what counts."""

import msgspec

from resultstore.model.result import Progress
from resultstore.model.spill import Spill


class Event(msgspec.Struct, frozen=True, array_like=True):
    """Notification that a Result has changed.

    Args:
        id: id of the Result.
        state: its new state, or `seal.DELETED` if it was deleted.
        progress: its progress, or None.
        artifacts: number of its Artifacts. Together with the state it shows whether the record must be read again.
    """

    id: str
    state: str
    progress: Progress | None = None
    artifacts: int = 0


class Announcement(Event, frozen=True, array_like=True):
    """Event with further data for clients that wait for its id.

    Args:
        record: the record itself if it is small, which saves a look-up; otherwise b"".
        beside: the part that is stored under the second key; b"" if there is none.
        early: reference to the value that the attempt is about to seal. It is valid once a record names it.
    """

    record: bytes = b""
    beside: bytes = b""
    early: Spill | None = None


class OwnerEvent(msgspec.Struct, frozen=True):
    """Event of an owner's stream, as a Feed delivers it.

    Args:
        owner: owner of the Result; "" if it has none.
        at: id of the Event in the stream, `<ms since the epoch>-<n>`; "" if no stream keeps it.
        event: the Event; None if the subscription has just begun, so that earlier Events may have been missed.
    """

    owner: str
    at: str = ""
    event: Event | None = None
