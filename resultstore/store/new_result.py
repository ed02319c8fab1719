"""NewResult: a Result of several files that a program makes outside a task."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial

from resultstore.blobs.stream import Source
from resultstore.model import layout
from resultstore.model.artifact import Artifact, Scalar
from resultstore.model.errors import BadReference, Refused
from resultstore.model.result import Result
from resultstore.store.attempt import Attempt
from resultstore.store.naming import GivenNames
from resultstore.store.temp_file_writer import TempFileWriter
from resultstore.store.writer import Writer, open_writer
from resultstore.store.writing import Label, Report, earlier_artifact


class NewResult:
    """Takes files until the block of `Store.result` ends, which seals them together.

    Args:
        attempt: collects what is stored.
        write: stores a source as an Artifact of the attempt.
        retention: the default retention class.
        temp_file_max_bytes: the limit of seekable files.
    """

    def __init__(
        self, attempt: Attempt, write: Callable[..., Artifact], *, retention: str, temp_file_max_bytes: int
    ) -> None:
        self.id = attempt.id
        self._attempt = attempt
        self._write = write
        self._retention = retention
        self._temp_file_max_bytes = temp_file_max_bytes
        self._is_open = True
        self._result: Result | None = None

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """The Artifacts stored so far; nothing of them can be looked up before the block ends."""
        return self._attempt.artifacts

    @property
    def result(self) -> Result:
        """The sealed Result. Raises Refused before the block has ended."""
        if self._result is None:
            raise Refused(f"result {self.id} is sealed at the end of its `with` block: read it after the block")
        return self._result

    def put(
        self,
        data: Source,
        *,
        name: str | None = None,
        file_name: str | None = None,
        media_type: str | None = None,
        metadata: Mapping[str, Scalar] | None = None,
        retention: str | None = None,
        compress: bool = False,
        size_hint_bytes: int | None = None,
        progress: Report | None = None,
    ) -> Artifact:
        """Store all of `data` as the next Artifact, or nothing. Arguments and errors are those of `Store.put`."""
        if not self._is_open:
            raise Refused(f"the block of result {self.id} has ended: store this under another id")
        label = Label(
            given=GivenNames(name=name or "", file_name=file_name or "", media_type=media_type or ""),
            metadata={} if metadata is None else metadata,
            retention=layout.first_class(retention, self._retention),
            compress=compress,
        )
        return self._write(self._attempt, data, label, size_hint_bytes=size_hint_bytes, report=progress)

    def writer(
        self,
        *,
        name: str | None = None,
        file_name: str | None = None,
        media_type: str | None = None,
        metadata: Mapping[str, Scalar] | None = None,
        retention: str | None = None,
        compress: bool = False,
        seekable: bool = False,
    ) -> AbstractContextManager[Writer | TempFileWriter]:
        """Open a write-only file that becomes the next Artifact. Arguments and errors are those of `Store.writer`."""
        named = partial(self.put, name=name, file_name=file_name, media_type=media_type, metadata=metadata)
        upload = partial(named, retention=retention, compress=compress)
        return open_writer(upload, temp_file_max_bytes=self._temp_file_max_bytes if seekable else None)

    def end(self) -> None:
        """Take no more files."""
        self._is_open = False

    def complete(self, sealed: Result) -> None:
        """Take the sealed outcome. Raises BadReference if the id was sealed earlier with other content."""
        if sealed.nonce != self._attempt.nonce:
            for one in self._attempt.artifacts:
                earlier_artifact(sealed, one)
            if len(sealed.artifacts) != len(self._attempt.artifacts):
                raise BadReference(f"result {self.id} is already sealed with other files: use another id")
        self._result = sealed
