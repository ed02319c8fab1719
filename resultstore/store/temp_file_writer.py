"""TempFileWriter: a seekable file object whose content is stored when it is whole."""

import io
import os
import tempfile
from collections.abc import Callable
from typing import BinaryIO, cast

from resultstore.model.artifact import Artifact
from resultstore.model.errors import Refused, TooLarge


class TempFileWriter(io.BufferedRandom):
    """The file object that `Store.writer(seekable=True)` yields, for libraries that seek: TIFF, HDF5, `ndarray.tofile`.

    It is a file without a name in the folder for temporary files (TMPDIR). Its space is free again when the block
    ends, by an error too, and when the process dies.

    Args:
        upload: stores a file from its position on, and returns the Artifact.
        max_bytes: the largest size of the file.
    """

    def __init__(self, upload: Callable[[BinaryIO], Artifact], *, max_bytes: int) -> None:
        super().__init__(_BoundedFile(max_bytes))
        self._upload = upload
        self._artifact: Artifact | None = None

    @property
    def artifact(self) -> Artifact:
        """The stored Artifact. Raises Refused before the `with` block has ended."""
        if self._artifact is None:
            raise Refused("the artifact exists only after the `with` block of its writer: read it after the block")
        return self._artifact

    def close(self) -> None:
        """Do nothing: many libraries close the file they write, but only the end of the block stores it."""

    def finish(self) -> Artifact:
        """Store the file, and free its space."""
        self.flush()
        raw = cast("_BoundedFile", self.raw)
        raw.check(os.fstat(raw.fileno()).st_size)  # a library may have written by the file's number
        self.seek(0)
        self._artifact = self._upload(self)
        raw.close()
        return self._artifact

    def abort(self) -> None:
        """Free the file's space; nothing is stored."""
        self.raw.close()


class _BoundedFile(io.FileIO):
    """An unnamed temporary file. Raises TooLarge for a write beyond `max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        with tempfile.TemporaryFile(buffering=0) as unnamed:
            super().__init__(os.dup(unnamed.fileno()), "r+b")

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]  # any buffer, as FileIO
        self.check(self.tell() + memoryview(data).nbytes)
        return super().write(data)

    def truncate(self, size: int | None = None) -> int:
        self.check(self.tell() if size is None else size)
        return super().truncate(size)

    def check(self, size_bytes: int) -> None:
        """Raise TooLarge if a file of `size_bytes` is not allowed."""
        if size_bytes > self._max_bytes:
            raise TooLarge(
                f"a temporary file of over {self._max_bytes} bytes is not allowed: use a writer that is not seekable, "
                "or set RESULTSTORE_TEMP_FILE_MAX_BYTES"
            )
