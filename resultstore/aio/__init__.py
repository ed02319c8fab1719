"""A Store for coroutines: look up, wait, watch and read without a thread for each waiter."""

from resultstore.aio.async_store import AsyncFile, AsyncStore
from resultstore.aio.event_stream import EVENT_STREAM_HEADERS, event_stream

__all__ = ["EVENT_STREAM_HEADERS", "AsyncFile", "AsyncStore", "event_stream"]
