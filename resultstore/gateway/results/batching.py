"""Lookups: finds Results for many requests together: what comes while one round trip is under way shares the next."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from anyio import to_thread

from resultstore.gateway.identity.caller import MAX_ID_CHARS, Caller, look_elsewhere, missing, shown, visible
from resultstore.model.result import Result
from resultstore.store import Store

TOGETHER_MAX: Final = 100

_Asked = tuple[str, "asyncio.Future[Result | None]"]


class LookupBatcher:
    """Belongs to one event loop. Only records are read together; what needs the object store is looked up by itself.

    Args:
        store: where the Results are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="lookups")
        self._waiting: list[_Asked] = []
        self._flight: asyncio.Task[None] | None = None

    async def visible(self, caller: Caller, result_id: str) -> Result:
        """What `caller.visible` gives, and raises."""
        known = await self._known(result_id) if len(result_id) <= MAX_ID_CHARS else None
        if known is None:
            return await to_thread.run_sync(visible, self._store, caller, result_id)
        if (found := shown(caller, known)) is not None:
            return found
        await to_thread.run_sync(look_elsewhere, self._store, result_id)
        return missing(result_id)

    async def _known(self, result_id: str) -> Result | None:
        """The record, where that is an answer by itself."""
        future: asyncio.Future[Result | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((result_id, future))
        if self._flight is None:
            self._flight = asyncio.create_task(self._fly())
        return await future

    async def _fly(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                together, self._waiting = self._waiting[:TOGETHER_MAX], self._waiting[TOGETHER_MAX:]
                found = await loop.run_in_executor(self._thread, self._found, [one for one, _ in together])
                for (_, future), result in zip(together, found, strict=True):
                    if not future.done():  # whoever asked may have gone
                        future.set_result(result)
        finally:
            self._flight = None

    def _found(self, result_ids: Sequence[str]) -> list[Result | None]:
        try:
            return self._store.known_many(result_ids)
        except Exception:  # noqa: BLE001  whatever one of them has caused: each is told by itself, or finds its seal
            return [None] * len(result_ids)
