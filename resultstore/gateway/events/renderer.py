"""News: reads each changed record once and makes of it what all viewers of its owner get."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from resultstore.gateway.events.messages import (
    SseMessage,
    change_message,
    place_of,
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

_REMEMBERED: Final = 50_000  # Results; of a forgotten one the next Event is sent with the whole record

_Key = tuple[str, str]
_Shown = tuple[str, int]


class EventRenderer:
    """Belongs to one thread.

    Args:
        store: where the Results are.
        views: shows what a viewer may see of one.
    """

    def __init__(self, store: Store, views: ResultRenderer) -> None:
        self._store = store
        self._views = views
        self._shown: OrderedDict[_Key, _Shown] = OrderedDict()  # state and number of Artifacts, as last sent

    def frames(self, told: Sequence[OwnerEvent]) -> list[SseMessage]:
        """One frame for each Result that Events tell of: of several Events of one the last counts.

        Raises Unavailable when the records cannot be read; nothing is remembered as shown then.
        """
        last: dict[_Key, tuple[str, Event]] = {}
        for one in told:
            if one.event is not None:
                key = (one.owner, one.event.id)
                last.pop(key, None)  # in the order of the last ones, so that places only grow
                last[key] = (one.at, one.event)
        loaded = self._loaded([key for key, (_, event) in last.items() if self._is_new(key, event)])
        made = [self._frame(key, at, event, loaded) for key, (at, event) in last.items()]
        while len(self._shown) > _REMEMBERED:
            self._shown.popitem(last=False)
        return [frame for frame in made if frame is not None]

    def _is_new(self, key: _Key, event: Event) -> bool:
        return event.state != DELETED and self._shown.get(key) != (event.state, event.artifacts)

    def _loaded(self, keys: Sequence[_Key]) -> dict[_Key, Result | None]:
        try:
            results = self._store.load_many([result_id for _, result_id in keys]) if keys else []
        except (Damaged, Refused):
            results = [self._one(result_id) for _, result_id in keys]
        return dict(zip(keys, results, strict=True))

    def _one(self, result_id: str) -> Result | None:
        """The Result; None for one that nobody can read: the others are told of all the same."""
        try:
            return self._store.load(result_id)
        except (Damaged, Refused) as error:
            _log.warning("event_not_read", id=result_id, error=str(error))
            return None

    def _frame(self, key: _Key, at: str, event: Event, loaded: dict[_Key, Result | None]) -> SseMessage | None:
        owner, place = key[0], place_of(at)
        if event.state == DELETED:
            self._shown.pop(key, None)
            return SseMessage(owner, place, removed_message(event, at=at))
        if key not in loaded:
            return SseMessage(owner, place, change_message(event, at=at))
        result = loaded[key]
        # Whoever can write to Redis can name any id in anybody's stream: the record says whose it is.
        if result is None or result.owner != owner:
            return None
        views = self._views.many([result])
        if not views:
            return None
        self._shown[key] = (str(result.state), len(result.artifacts))
        self._shown.move_to_end(key)
        return SseMessage(owner, place, result_message(views[0], at=at))
