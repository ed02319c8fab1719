"""PendingResults: the result objects of this process that wait for an outcome, by the text of their ids."""

import contextlib
from collections.abc import Callable, Iterator
from queue import Empty
from typing import Any
from weakref import WeakValueDictionary

from resultstore.backends.celery.compat import renew_pending_results
from resultstore.model.errors import BadReference
from resultstore.model.ids import id_of

Meta = dict[str, Any]  # Celery's own word and shape for what a backend stores of a task


class PendingResults:
    """Knows how Celery stores who waits; no other module does.

    `Backend._pending_results` is two dicts, one with weak references to the waiters: under each id the waiting results
    by their identity. `Backend._pending_messages` buffers metas that arrived before their waiter.

    Ids may be of any type: `AsyncResult(uuid.UUID(...))` waits for what was stored under the UUID's text.

    Args:
        backend: Celery's.
        check_id: raises BadReference for an id that the index cannot store. All ids that wait in one process are looked
            up together, and one bad id would fail the look-up of all.
    """

    def __init__(self, backend: Any, *, check_id: Callable[[str], object]) -> None:  # noqa: ANN401 - Celery's backends have no types
        self._waiting = renew_pending_results(backend)
        self._messages = backend._pending_messages  # noqa: SLF001 - see above
        self.check_id = check_id

    def __iter__(self) -> Iterator[str]:
        """Iterate over all ids that are waited for, some of them twice."""
        return (task_id for mapping in self._waiting for task_id in list(mapping))

    def __contains__(self, task_id: str) -> bool:
        return any(task_id in mapping for mapping in self._waiting)

    def __bool__(self) -> bool:
        return any(self._waiting)

    def waiters(self, task_id: str) -> list[Any]:
        """Return the result objects that wait for an id."""
        return [one for mapping in self._waiting for one in list(mapping.get(task_id, {}).values())]

    def is_only(self, task_id: str) -> bool:
        """Return whether one id is waited for, and it is this one."""
        return sum(map(len, self._waiting)) == 1 and task_id in self

    def add(self, result: Any, *, weak: bool) -> bool:  # noqa: ANN401 - Celery's AsyncResult
        """Give `result` its buffered meta, or let it wait. Return whether its id must be listened to."""
        task_id = id_of(result.id)
        try:
            result._maybe_set_cache(self._messages.take(task_id))  # noqa: SLF001 - as Celery does
        except Empty:
            if any(one is result for one in self.waiters(task_id)):
                return False
            mapping, waiters = (self._waiting[1], WeakValueDictionary) if weak else (self._waiting[0], dict)
            mapping.setdefault(task_id, waiters())[id(result)] = result
            return True
        return False

    def remove(self, result: Any) -> bool:  # noqa: ANN401 - Celery's AsyncResult
        """Let `result` wait no longer. Return whether nothing waits for its id any more.

        `AsyncResult.__del__` calls this, for bad ids too, and when the garbage collector has removed the waiter.
        """
        with contextlib.suppress(BadReference):
            task_id = id_of(result.id)
            for mapping in self._waiting:
                waiters = mapping.get(task_id, {})
                if waiters.get(id(result)) is result:
                    waiters.pop(id(result), None)
                if not waiters:
                    mapping.pop(task_id, None)
            return not self.waiters(task_id)
        return False

    def deliver(self, meta: Meta) -> list[Any]:
        """Give a ready meta to the results that wait for it, which are returned; without any, buffer it."""
        waiting = self.waiters(meta["task_id"])
        if not waiting:
            self._messages.put(meta["task_id"], meta)
        for result in waiting:
            result._maybe_set_cache(meta)  # noqa: SLF001 - as Celery's consumer does
        return waiting
