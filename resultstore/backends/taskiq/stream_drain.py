"""Streams: async generators of bytes become plain ones, which a thread can read while the event loop makes them."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import ExitStack, aclosing
from queue import SimpleQueue
from types import AsyncGeneratorType, GeneratorType
from typing import Final, Self

import msgspec

from resultstore.blobs.blobstore import Chunk
from resultstore.capture.outputs import Output

CHUNKS_AHEAD: Final = 4  # how many chunks the loop may make before the store has taken one


def is_stream(returned: object) -> bool:
    """Whether there is an async generator in what a task returned."""
    if isinstance(returned, Output):
        return isinstance(returned.data, AsyncGeneratorType)
    if type(returned) is dict:
        return any(map(is_stream, returned.values()))
    if type(returned) is list or type(returned) is tuple:
        return any(map(is_stream, returned))
    return isinstance(returned, AsyncGeneratorType)


class StreamDrain:
    """How one task's streams are read by a thread that is not the event loop's; ends them with its block.

    Args:
        loop: runs the async generators.
        check: called before each chunk; what it raises ends the stream.
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
        """What a task returned, with a plain generator in the place of each one in it."""
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
        """The chunks of `stream`, made by one task of the loop: a time-out that spans a `yield` keeps working."""
        handed: SimpleQueue[tuple[Chunk] | None] = SimpleQueue()
        room = asyncio.Semaphore(CHUNKS_AHEAD)

        async def feed() -> None:
            async with aclosing(stream):
                async for chunk in stream:
                    await room.acquire()
                    handed.put((chunk,))

        feeding = asyncio.run_coroutine_threadsafe(feed(), self._loop)
        # Where the store gives up first: the frames of its error may keep this generator alive, so it cannot tell.
        self._at_end.callback(feeding.cancel)
        feeding.add_done_callback(lambda _: handed.put(None))
        while (one := handed.get()) is not None:
            yield one[0]
            self._loop.call_soon_threadsafe(room.release)
        feeding.result()  # raises what the stream raised
