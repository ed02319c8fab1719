"""Writer: a write-only file object whose bytes are uploaded while they are written."""

import contextvars
import io
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from resultstore.model.artifact import Artifact
from resultstore.model.errors import Refused
from resultstore.store.temp_file_writer import TempFileWriter

CHUNK_BYTES = 1 << 20  # small writes are collected into chunks of this size
CHUNKS_WAITING = 4  # back-pressure: `write` blocks while this many chunks wait


class _Aborted(Exception):  # passes between the two threads of this file only
    """Raised in the upload thread when the `with` block failed: the upload must not be completed."""


class Writer(io.RawIOBase):
    """The file object that `Store.writer` yields; works with polars, pyarrow, reportlab, zipfile and pipes.

    Args:
        upload: stores an iterator of chunks and returns the Artifact; it runs in its own thread.
    """

    def __init__(self, upload: Callable[[Iterator[bytes]], Artifact]) -> None:
        super().__init__()
        self._upload = upload
        self._waiting: queue.Queue[bytes | None] = queue.Queue(CHUNKS_WAITING)
        self._gathered = bytearray()
        self._written_bytes = 0
        self._aborted = False
        self._error: BaseException | None = None
        self._artifact: Artifact | None = None
        self._ended = threading.Event()
        # The thread gets a copy of the context, so that the upload belongs to the attempt that writes.
        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=run, args=(self._run,), name="resultstore-writer", daemon=True)
        self._thread.start()

    @property
    def artifact(self) -> Artifact:
        """The stored Artifact. Raises Refused before the `with` block has ended."""
        if self._artifact is None:
            raise Refused("the artifact exists only after the `with` block of its writer: read it after the block")
        return self._artifact

    def writable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._written_bytes

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]  # any buffer, as RawIOBase
        """Write all of `data`; block while the store is slower. Raises the error that ended the upload, if any."""
        if self.closed:
            raise ValueError("write to a closed writer: the Artifact was complete when its block ended")
        view = memoryview(data).cast("B")
        size_bytes = view.nbytes
        while view.nbytes:
            free_bytes = CHUNK_BYTES - len(self._gathered)
            self._gathered += view[:free_bytes]
            view = view[free_bytes:]
            if len(self._gathered) == CHUNK_BYTES:
                self._hand_over(bytes(self._gathered))
                self._gathered.clear()
        self._written_bytes += size_bytes
        return size_bytes

    def close(self) -> None:
        """Do nothing: many libraries close the file they write, but only the end of the block completes the upload."""

    def finish(self) -> Artifact:
        """Send the remaining bytes, wait until all are stored, and return the Artifact."""
        if self._gathered:
            self._hand_over(bytes(self._gathered))
            self._gathered.clear()
        self._hand_over(None)
        self._join()
        super().close()
        self._raise_if_failed()
        return self.artifact

    def abort(self) -> None:
        """Cancel the upload, so that nothing of it is kept, and wait for its thread."""
        self._aborted = True
        self._drain()
        self._join()
        super().close()

    def _run(self) -> None:
        try:
            self._artifact = self._upload(self._chunks())
        except _Aborted:
            return
        except BaseException as error:  # noqa: BLE001 - it is raised again in the writing thread
            self._error = error
        finally:
            self._ended.set()

    def _join(self) -> None:
        """Wait until the upload thread has ended."""
        # Wait for the event first: an interrupted join() marks the thread as ended (CPython 3.11, threading.py).
        self._ended.wait()
        self._thread.join()

    def _chunks(self) -> Iterator[bytes]:
        while True:
            chunk = self._waiting.get()
            if self._aborted:
                raise _Aborted
            if chunk is None:
                return
            yield chunk

    def _hand_over(self, chunk: bytes | None) -> None:
        while True:
            self._raise_if_failed()
            try:
                self._waiting.put(chunk, timeout=0.1)
            except queue.Full:
                if not self._thread.is_alive():
                    self._raise_if_failed()
            else:
                return

    def _raise_if_failed(self) -> None:
        if self._error is not None:
            raise self._error

    def _drain(self) -> None:
        """Wake the upload thread, which waits for a chunk and then finds the upload aborted."""
        while True:
            try:
                self._waiting.put_nowait(None)
            except queue.Full:
                self._waiting.get_nowait()
            else:
                return


@contextmanager
def open_writer(
    upload: Callable[[Iterator[bytes] | BinaryIO], Artifact], *, temp_file_max_bytes: int | None = None
) -> Iterator[Writer | TempFileWriter]:
    """Open a file for the block, whose content `upload` stores; nothing is stored if the block raises.

    With `temp_file_max_bytes` it is a temporary file of at most this size, in which the block may seek; with None a
    stream.
    """
    writer = Writer(upload) if temp_file_max_bytes is None else TempFileWriter(upload, max_bytes=temp_file_max_bytes)
    try:
        yield writer
        writer.finish()
    except BaseException:  # also a time limit's signal while the rest is sent: the thread must end
        writer.abort()
        raise
