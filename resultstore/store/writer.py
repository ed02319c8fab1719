"""Writer: a write-only file object whose bytes stream into the store while they are written."""

import contextvars
import io
import queue
import threading
from collections.abc import Callable, Iterator

from resultstore.model.artifact import Artifact
from resultstore.model.errors import Refused

CHUNK_BYTES = 1 << 20  # small writes are gathered to this before they change threads
CHUNKS_WAITING = 4  # a slow store holds the producer back behind this many


class _Aborted(Exception):  # a signpost between two threads of this file, never seen outside
    """The block was left by an exception: the upload must not be completed."""


class Writer(io.RawIOBase):
    """What `Store.writer` yields: non-seekable, fit for polars, pyarrow, reportlab, zipfile and pipes.

    Args:
        upload: stores an iterator of chunks and gives the Artifact; runs in a thread of its own.
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
        # The upload belongs to the same attempt as the code that writes: the thread gets a copy of its context.
        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=run, args=(self._run,), name="resultstore-writer", daemon=True)
        self._thread.start()

    @property
    def artifact(self) -> Artifact:
        """What was stored. Raises Refused before the block has ended."""
        if self._artifact is None:
            raise Refused("the artifact exists when the `with` block of its writer has ended: read it behind the block")
        return self._artifact

    def writable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """How many bytes were written."""
        return self._written_bytes

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]  # any buffer, as RawIOBase
        """Take all of `data`; blocks while the store is slower. Raises what ended the upload, if something did."""
        if self.closed:
            raise ValueError("write to a closed writer: the Artifact was complete when its block ended")
        view = memoryview(data).cast("B")
        size_bytes = view.nbytes
        while view.nbytes:
            room = CHUNK_BYTES - len(self._gathered)
            self._gathered += view[:room]
            view = view[room:]
            if len(self._gathered) == CHUNK_BYTES:
                self._hand_over(bytes(self._gathered))
                self._gathered.clear()
        self._written_bytes += size_bytes
        return size_bytes

    def close(self) -> None:
        """Nothing: many libraries close the file they write to, and only the end of the block completes the upload."""

    def finish(self) -> Artifact:
        """Send the rest, wait until all is stored, and give the Artifact."""
        if self._gathered:
            self._hand_over(bytes(self._gathered))
            self._gathered.clear()
        self._hand_over(None)
        self._join()
        super().close()
        self._raise_if_failed()
        return self.artifact

    def abort(self) -> None:
        """End the upload so that nothing of it stays; waits for its thread."""
        self._aborted = True
        self._drain()
        self._join()
        super().close()

    def _run(self) -> None:
        try:
            self._artifact = self._upload(self._chunks())
        except _Aborted:
            return
        except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that writes
            self._error = error
        finally:
            self._ended.set()

    def _join(self) -> None:
        """Wait for the upload's thread."""
        # The event first: a join that a signal interrupts takes the thread for ended (CPython 3.11, threading.py).
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
        """Wake the upload's thread: it waits for a chunk and then sees that it was aborted."""
        while True:
            try:
                self._waiting.put_nowait(None)
            except queue.Full:
                self._waiting.get_nowait()
            else:
                return
