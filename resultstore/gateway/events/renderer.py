"""EventRenderer: reads each changed record once and renders the message for all viewers of its owner."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from resultstore.gateway.events.messages import (
    SseMessage,
    change_message,
    parse_position,
    removed_message,
    result_message,
)
from resultstore.gateway.results.rendering import ResultRenderer
from resultstore.model.errors import Damaged, Refused
from resultstore.model.event import Event, OwnerEvent
from resultstore.model.result import Result
from resultstore.model.seal import DELETED
from resultstore.store import Store
from resultstore.telemetry.logs import Log

_log = Log(__name__)

_REMEMBERED_MAX: Final = 50_000  # Results; the next Event of a forgotten one is sent with the whole record

_Key = tuple[str, str]
_Shown = tuple[str, int]


class EventRenderer:
    """Belongs to one thread.

    Args:
        store: holds the Results.
        views: renders Results.
    """

    def __init__(self, store: Store, views: ResultRenderer) -> None:
        self._store = store
        self._views = views
        self._shown: OrderedDict[_Key, _Shown] = OrderedDict()  # state and number of Artifacts, as last sent

    def render(self, events: Sequence[OwnerEvent]) -> list[SseMessage]:
        """Return one message for each Result in `events`; the last of several Events of a Result counts.

        Raises Unavailable when the records cannot be read; then nothing is remembered as sent.
        """
        last: dict[_Key, tuple[str, Event]] = {}
        for one in events:
            if one.event is not None:
                key = (one.owner, one.event.id)
                last.pop(key, None)  # ordered by the last Event of each, so that positions only grow
                last[key] = (one.at, one.event)
        loaded = self._load([key for key, (_, event) in last.items() if self._is_new(key, event)])
        made = [self._message(key, at, event, loaded) for key, (at, event) in last.items()]
        while len(self._shown) > _REMEMBERED_MAX:
            self._shown.popitem(last=False)
        return [message for message in made if message is not None]

    def _is_new(self, key: _Key, event: Event) -> bool:
        return event.state != DELETED and self._shown.get(key) != (event.state, event.artifacts)

    def _load(self, keys: Sequence[_Key]) -> dict[_Key, Result | None]:
        try:
            results = self._store.load_many([result_id for _, result_id in keys]) if keys else []
        except (Damaged, Refused):
            results = [self._load_one(result_id) for _, result_id in keys]
        return dict(zip(keys, results, strict=True))

    def _load_one(self, result_id: str) -> Result | None:
        """Return the Result, or None if it cannot be read: the others are still sent."""
        try:
            return self._store.load(result_id)
        except (Damaged, Refused) as error:
            _log.warning("event_not_read", id=result_id, error=str(error))
            return None

    def _message(self, key: _Key, at: str, event: Event, loaded: dict[_Key, Result | None]) -> SseMessage | None:
        owner, position = key[0], parse_position(at)
        if event.state == DELETED:
            self._shown.pop(key, None)
            return SseMessage(owner, position, removed_message(event, at=at))
        if key not in loaded:
            return SseMessage(owner, position, change_message(event, at=at))
        result = loaded[key]
        # An attacker who can write to Redis can put any id into any owner's stream: the record names its owner.
        if result is None or result.owner != owner:
            return None
        views = self._views.many([result])
        if not views:
            return None
        self._shown[key] = (str(result.state), len(result.artifacts))
        self._shown.move_to_end(key)
        return SseMessage(owner, position, result_message(views[0], at=at))
