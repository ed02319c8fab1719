"""LookupBatcher: looks up Results of concurrent requests in one round trip to the index."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from anyio import to_thread

from resultstore.gateway.identity.caller import (
    MAX_ID_CHARS,
    Caller,
    if_visible,
    load_decoy,
    load_visible,
    raise_missing,
)
from resultstore.model.result import Result
from resultstore.store import Store

BATCH_MAX: Final = 100

_Pending = tuple[str, "asyncio.Future[Result | None]"]


class LookupBatcher:
    """Belongs to one event loop. Requests that arrive during a round trip share the next one.

    Only records are read in batches; a lookup that needs the object store runs separately.

    Args:
        store: holds the Results.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="lookups")
        self._pending: list[_Pending] = []
        self._running: asyncio.Task[None] | None = None

    async def load_visible(self, caller: Caller, result_id: str) -> Result:
        """Return and raise what `caller.load_visible` does."""
        known = await self._lookup(result_id) if len(result_id) <= MAX_ID_CHARS else None
        if known is None:
            return await to_thread.run_sync(load_visible, self._store, caller, result_id)
        if (found := if_visible(caller, known)) is not None:
            return found
        await to_thread.run_sync(load_decoy, self._store, result_id)
        return raise_missing(result_id)

    async def _lookup(self, result_id: str) -> Result | None:
        """Return the record, or None if it is not sufficient to answer."""
        future: asyncio.Future[Result | None] = asyncio.get_running_loop().create_future()
        self._pending.append((result_id, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run_batches())
        return await future

    async def _run_batches(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._pending:
                batch, self._pending = self._pending[:BATCH_MAX], self._pending[BATCH_MAX:]
                found = await loop.run_in_executor(self._thread, self._load_many, [one for one, _ in batch])
                for (_, future), result in zip(batch, found, strict=True):
                    if not future.done():  # the client may have disconnected
                        future.set_result(result)
        finally:
            self._running = None

    def _load_many(self, result_ids: Sequence[str]) -> list[Result | None]:
        try:
            return self._store.known_many(result_ids)
        except Exception:  # noqa: BLE001  one id may have caused it: each is then looked up separately
            return [None] * len(result_ids)
