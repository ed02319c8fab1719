"""MemorySubscription: one mailbox for many ids, in one process."""

from collections import deque
from collections.abc import Callable, Sequence

from resultstore.index.inbox import EventInbox
from resultstore.model.event import Announcement, Event


class MemorySubscription:
    """One mailbox for many ids.

    Args:
        enter, leave: put the mailbox on an id's list, and take it off.
    """

    def __init__(self, enter: Callable[[str, EventInbox], None], leave: Callable[[str, EventInbox], None]) -> None:
        self._enter = enter
        self._leave = leave
        self._box = EventInbox()
        self._heard: set[str] = set()
        self._leaving: deque[str] = deque()  # a garbage collector may come while the index is locked: later, then

    def listen(self, result_ids: Sequence[str]) -> None:
        """Begin to hear these ids."""
        self._say_goodbye()
        for one in set(result_ids) - self._heard:
            self._heard.add(one)
            self._enter(one, self._box)
            self._box.put(Event(one, ""))

    def leave(self, *result_ids: str) -> None:
        """Stop hearing these ids, at the next step of whoever waits."""
        self._leaving.extend(result_ids)

    def wait(self, timeout_s: float) -> list[Announcement]:
        """The next Event, at the latest after `timeout_s`."""
        self._say_goodbye()
        event = self._box.wait(timeout_s)
        return [] if event is None else [Announcement(event.id, event.state, event.progress, event.artifacts)]

    def close(self) -> None:
        """Hear nothing any more."""
        self._leaving.extend(self._heard)
        self._say_goodbye()

    def _say_goodbye(self) -> None:
        while self._leaving:
            one = self._leaving.popleft()
            if one in self._heard:
                self._heard.remove(one)
                self._leave(one, self._box)
