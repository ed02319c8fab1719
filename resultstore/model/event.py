"""Event: one change of one Result, as watchers see it. A hint, never the truth."""

import msgspec

from resultstore.model.result import Progress


class Event(msgspec.Struct, frozen=True, array_like=True):
    """The id that changed, the state it is in now, and how far it is."""

    id: str
    state: str
    progress: Progress | None = None
