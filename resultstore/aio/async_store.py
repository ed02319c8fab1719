"""AsyncStore: the methods of a Store for coroutines."""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import BinaryIO, Final, ParamSpec, TypeVar

from resultstore.aio.listener import Outcome, listener_of
from resultstore.model.artifact import Artifact
from resultstore.model.errors import ResultDeleted
from resultstore.model.ids import id_of
from resultstore.model.result import Result
from resultstore.store import Store

_CHUNK_BYTES: Final = 1 << 20

Arguments = ParamSpec("Arguments")
Returned = TypeVar("Returned")


class AsyncFile:
    """An open Artifact whose reads do not block the event loop; each byte is verified. Iterate over it for chunks.

    Args:
        file: what `Store.open` returned.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    async def read(self, size_bytes: int = -1) -> bytes:
        """Return the next bytes, at most `size_bytes`; all the rest by default."""
        return await asyncio.to_thread(self._file.read, size_bytes)

    async def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position and return it. Sends no request."""
        return self._file.seek(offset, whence)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the rest in chunks of 1 MiB."""
        while chunk := await self.read(_CHUNK_BYTES):
            yield chunk


class AsyncStore:
    """Calls a Store from coroutines.

    Short requests run on asyncio's threads. Whatever waits (`wait`, `watch`) takes no thread: one listener thread a
    process reads each change once for all coroutines, and ends when none waits.

    Args:
        store: what `resultstore.connect()` returned; several AsyncStores may share it.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    async def load(self, result_id: str) -> Result | None:
        """Return the Result, or None if the id is unknown: see `Store.load`."""
        return await asyncio.to_thread(self.store.load, result_id)

    async def load_many(self, result_ids: Sequence[str]) -> list[Result | None]:
        """Return many Results in one round trip, in the order of their ids."""
        return await asyncio.to_thread(self.store.load_many, result_ids)

    async def peek(self, result_id: str) -> Result | None:
        """Return the state and progress only: see `Store.peek`."""
        return await asyncio.to_thread(self.store.peek, result_id)

    async def call(
        self, function: Callable[Arguments, Returned], *args: Arguments.args, **options: Arguments.kwargs
    ) -> Returned:
        """Run any other method of the Store on one of asyncio's threads: `await aio.call(store.put, data)`."""
        return await asyncio.to_thread(function, *args, **options)

    async def wait(self, result_id: str, *, timeout_s: float | None = None) -> Result:
        """Wait until the Result is terminal and return it, whole.

        Raises TimeoutError after `timeout_s`, ResultDeleted, and Unavailable if a server stays away for 30 s.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    async with contextlib.aclosing(self.watch(result_id)) as states:
                        async for _ in states:
                            pass
                    result = await self.load(result_id)
                    if result is not None and result.terminal:
                        return result
        except TimeoutError as error:
            raise TimeoutError(f"result {result_id} was not ready in time: use a longer timeout") from error

    async def watch(self, result_id: str) -> AsyncGenerator[Result, None]:
        """Yield the current state with its progress, then each later one; end after a terminal state.

        Values and lists of Artifacts are not read: `load` returns them. A slow consumer skips states and receives the
        newest. An unknown id yields nothing until it is known. Errors are those of `wait`.
        """
        watched = id_of(result_id)
        watcher, listener = _LatestState(), listener_of(self.store)
        listener.add(watched, watcher)
        try:
            shown: Result | None = None
            current: Outcome | None = await self._first(watched)
            while True:
                if isinstance(current, Exception):
                    raise current
                if current is not None and (shown is None or _differs(current, shown)):
                    shown = current
                    yield current
                    if current.terminal:
                        return
                current = await watcher.take()
        finally:
            listener.remove(watched, watcher)

    @asynccontextmanager
    async def open(self, artifact: Artifact, *, on_behalf_of: str | None = None) -> AsyncIterator[AsyncFile]:
        """Open an Artifact for the block: see `Store.open`."""
        file = await asyncio.to_thread(self.store.open, artifact, on_behalf_of=on_behalf_of)
        try:
            yield AsyncFile(file)
        finally:
            file.close()

    async def _first(self, result_id: str) -> Outcome | None:
        found = await self.peek(result_id)
        deleted = [] if found is not None else await asyncio.to_thread(self.store.deleted_many, [result_id])
        if deleted:
            return ResultDeleted.of(result_id)
        return found


class _LatestState:
    """Passes the newest state of one id from the listener's thread to the coroutine that created this."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._filled = asyncio.Event()
        self._latest: Outcome | None = None

    def deliver(self, outcome: Outcome) -> None:
        """Replace the state that was not taken yet. Called by the listener's thread."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._set, outcome)

    async def take(self) -> Outcome | None:
        """Wait for the next state."""
        await self._filled.wait()
        self._filled.clear()
        return self._latest

    def _set(self, outcome: Outcome) -> None:
        self._latest = outcome
        self._filled.set()


def _differs(one: Result, other: Result) -> bool:
    """Return whether a viewer sees a difference."""
    return (one.state, one.progress, one.nonce, one.retries) != (
        other.state,
        other.progress,
        other.nonce,
        other.retries,
    )
