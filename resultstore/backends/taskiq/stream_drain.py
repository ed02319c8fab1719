"""StreamDrain: lets a thread read async generators of bytes while the event loop runs them."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import ExitStack, aclosing
from queue import SimpleQueue
from types import AsyncGeneratorType, GeneratorType
from typing import Final, Self

import msgspec

from resultstore.blobs.blobstore import Chunk
from resultstore.capture.outputs import Output

CHUNKS_AHEAD: Final = 4  # how many chunks the loop makes before the store has taken one


def is_stream(returned: object) -> bool:
    """Return whether a task's return value holds an async generator."""
    if isinstance(returned, Output):
        return isinstance(returned.data, AsyncGeneratorType)
    if type(returned) is dict:
        return any(map(is_stream, returned.values()))
    if type(returned) is list or type(returned) is tuple:
        return any(map(is_stream, returned))
    return isinstance(returned, AsyncGeneratorType)


class StreamDrain:
    """Reads one task's streams in another thread than the event loop's, and closes them at the end of its block.

    Args:
        loop: runs the async generators.
        check: called before each chunk; an error that it raises ends the stream.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, check: Callable[[], None]) -> None:
        self._loop = loop
        self._check = check
        self._at_end = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._at_end.close()

    def readable(self, returned: object) -> object:
        """Return a task's return value with a plain generator in place of each generator in it."""
        if isinstance(returned, Output):
            return msgspec.structs.replace(returned, data=self.readable(returned.data))
        if isinstance(returned, AsyncGeneratorType):
            return self._checked(self._pulled(returned))
        if isinstance(returned, GeneratorType):
            return self._checked(returned)
        # Exactly these types, as capture does.
        if type(returned) is dict:
            return {key: self.readable(one) for key, one in returned.items()}
        if type(returned) is list or type(returned) is tuple:
            return type(returned)(map(self.readable, returned))
        return returned

    def _checked(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        for chunk in chunks:
            self._check()
            yield chunk

    def _pulled(self, stream: AsyncGenerator[Chunk, None]) -> Iterator[Chunk]:
        """Yield the chunks of `stream`. One task of the loop makes them all, so that a timeout may span a `yield`."""
        handed: SimpleQueue[tuple[Chunk] | None] = SimpleQueue()
        slots = asyncio.Semaphore(CHUNKS_AHEAD)

        async def feed() -> None:
            async with aclosing(stream):
                async for chunk in stream:
                    await slots.acquire()
                    handed.put((chunk,))

        feeding = asyncio.run_coroutine_threadsafe(feed(), self._loop)
        # When the store fails first, the frames of its error may keep this generator alive, so it is not closed here.
        self._at_end.callback(feeding.cancel)
        feeding.add_done_callback(lambda _: handed.put(None))
        while (one := handed.get()) is not None:
            yield one[0]
            self._loop.call_soon_threadsafe(slots.release)
        feeding.result()  # raises what the stream raised
