"""Pending: which results of this process are waited for, by the plain text of their ids."""

import contextlib
from collections.abc import Callable
from functools import cached_property
from typing import Any

from celery.backends.asynchronous import AsyncBackendMixin, _waiting_on

from resultstore.index.index import IdChecker
from resultstore.model.errors import BadReference
from resultstore.model.ids import id_of, state_of
from resultstore.store import Store


class TakesAnyId(AsyncBackendMixin):
    """Takes ids of any type: `AsyncResult(uuid.UUID(...))` waits for what was stored under the UUID's text.

    All that wait in one process are looked up together. So an id is checked before it is waited for: one that no index
    can look up would fail the look-ups of all others.
    """

    store: Store

    def store_result(
        self,
        task_id: object,
        result: object,
        state: object,
        traceback: str | None = None,
        request: Any = None,  # noqa: ANN401 - Celery's Context
        **kwargs: object,
    ) -> object:
        """Store a state and a value. A state may be a member of an Enum. Raises BadReference for a bad id."""
        stored: object = super().store_result(
            id_of(task_id), result, state_of(state), traceback, request=request, **kwargs
        )
        return stored

    def get_task_meta(self, task_id: object, cache: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002 - Celery's signature
        """Return what is known of a task. Raises BadReference for a bad id."""
        meta: dict[str, Any] = super().get_task_meta(id_of(task_id), cache=cache)
        return meta

    def add_pending_result(self, result: Any, weak: bool = False, start_drainer: bool = True) -> Any:  # noqa: ANN401, FBT001, FBT002 - Celery's signature
        """Wait for a result. Raises BadReference for an id that cannot be one."""
        self.check_id(id_of(result.id))
        return super().add_pending_result(result, weak=weak, start_drainer=start_drainer)

    def remove_pending_result(self, result: Any) -> Any:  # noqa: ANN401 - as above
        """Wait for a result no longer; nothing else: `AsyncResult.__del__` calls it, for bad ids too."""
        with contextlib.suppress(BadReference):
            super().remove_pending_result(result)
        return result

    def on_result_fulfilled(self, result: Any) -> None:  # noqa: ANN401 - as above
        """Stop listening for a result."""
        self.result_consumer.cancel_for(id_of(result.id))

    def _maybe_resolve_from_buffer(self, result: Any) -> None:  # noqa: ANN401 - as above
        result._maybe_set_cache(self._pending_messages.take(id_of(result.id)))  # noqa: SLF001 - as Celery does

    def _add_pending_result(self, task_id: object, result: Any, weak: bool = False) -> None:  # noqa: ANN401, FBT001, FBT002 - as above
        super()._add_pending_result(id_of(task_id), result, weak=weak)

    def _remove_pending_result(self, result: Any) -> list[Any]:  # noqa: ANN401 - as above
        task_id = id_of(result.id)
        for mapping in self._pending_results:
            waiters = mapping.get(task_id, {})
            if waiters.get(id(result)) is result:
                waiters.pop(id(result), None)
            if not waiters:
                mapping.pop(task_id, None)
        waiting: list[Any] = _waiting_on(self._pending_results, task_id)
        return waiting

    @cached_property
    def check_id(self) -> Callable[[str], object]:
        """Raises BadReference for an id that the index cannot store."""
        index = self.store.index
        return index.check_id if isinstance(index, IdChecker) else bool
