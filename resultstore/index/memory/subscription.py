"""MemorySubscription: one inbox for many ids, in this process."""

from collections import deque
from collections.abc import Callable, Sequence

from resultstore.index.inbox import EventInbox
from resultstore.model.event import Announcement, Event


class MemorySubscription:
    """Implements `Subscription`.

    Args:
        enter, leave: add the inbox to those of an id, and remove it.
    """

    def __init__(self, enter: Callable[[str, EventInbox], None], leave: Callable[[str, EventInbox], None]) -> None:
        self._enter = enter
        self._leave = leave
        self._inbox = EventInbox()
        self._ids: set[str] = set()
        # A garbage collector may call `leave` while the index is locked, so the ids are removed later.
        self._leaving: deque[str] = deque()

    def listen(self, result_ids: Sequence[str]) -> None:
        """Subscribe to these ids."""
        self._leave_now()
        for one in set(result_ids) - self._ids:
            self._ids.add(one)
            self._enter(one, self._inbox)
            self._inbox.put(Event(one, ""))

    def leave(self, *result_ids: str) -> None:
        """Unsubscribe from these ids at the next call of `listen` or `wait`."""
        self._leaving.extend(result_ids)

    def wait(self, timeout_s: float) -> list[Announcement]:
        """Return the next Event, or nothing after `timeout_s`."""
        self._leave_now()
        event = self._inbox.wait(timeout_s)
        return [] if event is None else [Announcement(event.id, event.state, event.progress, event.artifacts)]

    def close(self) -> None:
        """Unsubscribe from everything."""
        self._leaving.extend(self._ids)
        self._leave_now()

    def _leave_now(self) -> None:
        while self._leaving:
            one = self._leaving.popleft()
            if one in self._ids:
                self._ids.remove(one)
                self._leave(one, self._inbox)
