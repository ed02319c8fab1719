"""Store: the main client object, made of an object store, an index and a URL signer."""

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from resultstore.blobs.blobstore import BlobStore, Signer
from resultstore.blobs.stream import Source
from resultstore.index.index import Index, Overwrite
from resultstore.model import layout
from resultstore.model.artifact import Artifact, Scalar
from resultstore.model.errors import BlobStoreUnavailable, Misconfigured, ResultDeleted, ResultStoreError, TooLarge
from resultstore.model.ids import id_of
from resultstore.model.result import Progress, Result, State
from resultstore.settings import Settings
from resultstore.store import attempt as attempts
from resultstore.store.attempt import Attempt
from resultstore.store.byte_count import ByteCounter
from resultstore.store.content import ContentReader
from resultstore.store.deleting import ResultDeleter
from resultstore.store.downloading import FileDownload
from resultstore.store.links import ArtifactLinks
from resultstore.store.lookup import Lookup
from resultstore.store.naming import GivenNames
from resultstore.store.new_result import NewResult
from resultstore.store.owner_lister import OwnerLister
from resultstore.store.policy import DEFAULT
from resultstore.store.reading import ArtifactReader
from resultstore.store.record_writer import RecordWriter
from resultstore.store.required import require_blobs
from resultstore.store.seals import Seals
from resultstore.store.shares import Shares
from resultstore.store.signatures import Signatures
from resultstore.store.temp_file_writer import TempFileWriter
from resultstore.store.writer import Writer, open_writer
from resultstore.store.writing import ArtifactWriter, Label, Report, earlier_artifact
from resultstore.telemetry.logs import Log

_log = Log(__name__)


class Store(ContentReader):
    """Stores large outputs in an object store, and a small record of each Result in an index.

    Create one with `resultstore.connect()`. Threads may share it, and it may be used before and after a fork.

    Args:
        index: stores the records.
        blobs: stores the bytes; with None, only plain values can be stored, in the index.
        signer: creates presigned URLs; None without an object store.
        settings: limits and defaults.
    """

    def __init__(
        self, *, index: Index, blobs: BlobStore | None, signer: Signer | None, settings: Settings | None = None
    ) -> None:
        self.settings = settings or Settings()
        self.blobs = blobs
        self.signer = signer
        self.signatures = Signatures.from_settings(self.settings)
        self._seals = self._writer = self._shares = reader = links = None
        if blobs is not None:
            self._seals = Seals(blobs, self.signatures.macs, budget_s=self.settings.results.commit_budget_s)
            self._writer = ArtifactWriter(blobs, self.signatures)
            reader = ArtifactReader(blobs, self._seals, self.signatures)
            urls = self.settings.urls
            links = ArtifactLinks(reader, signer, length_s=urls.expires_s, inline_pdf=urls.inline_pdf)
            self._shares = Shares(
                blobs, self.signatures.macs, links=links, load=self.load, capabilities=self._seals.capabilities
            )
        self.byte_counter = ByteCounter(index)
        lookup = Lookup(index, self._seals, self.signatures, settings=self.settings)
        super().__init__(index, lookup, reader=reader, links=links)
        self.owner_lister = OwnerLister(index, blobs=blobs, lookup=self._lookup)
        self._records = RecordWriter(index, self._lookup, settings=self.settings, byte_counter=self.byte_counter)
        self.deleter = ResultDeleter(
            index, blobs=blobs, seals=self._seals, find=self.load, uncount=self.byte_counter.forget
        )

    @property
    def shares(self) -> Shares:
        """Share links: downloads of one Artifact for people without an account (docs/how-to/share-links.md)."""
        return require_blobs(self._shares)

    def put(
        self,
        data: Source,
        *,
        name: str | None = None,
        file_name: str | None = None,
        media_type: str | None = None,
        id: str | None = None,
        owner: str | None = None,
        metadata: Mapping[str, Scalar] | None = None,
        retention: str | None = None,
        compress: bool = False,
        size_hint_bytes: int | None = None,
        progress: bool | Report = False,
    ) -> Artifact:
        """Store all of `data`, or nothing (atomic), and return the Artifact.

        Outside a task, or with an `id`, the data becomes its own Result, which is sealed before this returns. Inside a
        task it becomes an Artifact of the running attempt: visible at once, and sealed when the task ends.

        Args:
            data: bytes, a Path, an open binary file, or an iterable of bytes; it is streamed, never read into memory.
            name: the Artifact's name within the Result; by default the file's name, else "output", numbered if taken.
            file_name: the name of a download; by default the name, with an extension (docs/how-to/names.md).
            media_type: the media type (RFC 6838); by default guessed from the names, then from the first bytes.
            id: stores the data as its own Result under this id.
            owner: who owns that Result; by default the owner of the running task, if any.
            metadata: small values that are stored with the Artifact.
            retention: a retention class; by default `settings.results.retention`.
            compress: stores the data as zstd (see docs/format.md); for text-like content.
            size_hint_bytes: the expected length of an iterator beyond 78 GiB.
            progress: True reports the bytes sent as the task's progress; a function gets the bytes sent and their total
                (0 if unknown).

        Raises:
            BlobStoreUnavailable, BlobStoreFull: the data was not stored; nothing of it can be read.
            CommitUnknown: the data was stored, but the store did not confirm the seal; look the id up later.
            BadReference: the name or the id is taken or malformed.
            WrongType: the data holds no bytes; the message says how to store it.
            NotYours: the running task belongs to another owner.
            Misconfigured: there is no object store, or it has no conditional create.
        """
        running = attempts.current() if id is None else None
        owner = attempts.owner_of_new(owner) if running is None else running.check_owner(owner)
        policy = DEFAULT if running is None else running.policy
        label = Label(
            given=GivenNames(name=name or "", file_name=file_name or "", media_type=media_type or ""),
            metadata={} if metadata is None else metadata,
            retention=layout.first_class(retention, policy.retention, self.settings.results.retention),
            compress=compress or bool(policy.compress),
        )
        report = self.progress if progress is True else progress or None
        write = partial(require_blobs(self._writer).write, size_hint_bytes=size_hint_bytes, report=report)
        if running is not None:
            artifact = write(running, data, label)
            self._records.show(running.result())
            return artifact
        require_blobs(self._seals).check_sealing()  # before any byte is sent
        own = Attempt(str(uuid.uuid4()) if id is None else id, owner=owner)
        artifact = write(own, data, label)
        sealed = self.seal(own)
        self._records.show(sealed)
        return artifact if sealed.nonce == own.nonce else earlier_artifact(sealed, artifact)

    def writer(
        self,
        *,
        name: str | None = None,
        file_name: str | None = None,
        media_type: str | None = None,
        id: str | None = None,
        owner: str | None = None,
        metadata: Mapping[str, Scalar] | None = None,
        retention: str | None = None,
        compress: bool = False,
        seekable: bool = False,
    ) -> AbstractContextManager[Writer | TempFileWriter]:
        """Open a write-only file that streams into the store; nothing is kept if the block raises.

        After the block the Artifact is in `.artifact`. Arguments and errors are those of `put`; `metadata` is read at
        the end. `seekable` is for libraries that seek while they write: the content goes through a temporary file of at
        most `settings.results.temp_file_max_bytes`, or TooLarge is raised.
        """
        named = partial(self.put, name=name, file_name=file_name, media_type=media_type, id=id, owner=owner)
        upload = partial(named, metadata=metadata, retention=retention, compress=compress)
        limit_bytes = self.settings.results.temp_file_max_bytes if seekable else None
        return open_writer(upload, temp_file_max_bytes=limit_bytes)

    @contextmanager
    def result(
        self, id: str | None = None, *, owner: str | None = None, retention: str | None = None
    ) -> Iterator[NewResult]:
        """Make a Result of several files: seal them together at the end of the block; keep nothing if it raises.

        Use `put` and `writer` of what it yields; its `result` is there after the block. A Result is made once: the same
        files under the same id give the Result that is sealed already.

        Args:
            id: of the new Result; by default a random UUID.
            owner: who owns it; by default the owner of the running task, if any.
            retention: a retention class; by default `settings.results.retention`.

        Raises what `put` raises; BadReference if the id is sealed with other content.
        """
        require_blobs(self._seals).check_sealing()
        attempt = Attempt(str(uuid.uuid4()) if id is None else id, owner=attempts.owner_of_new(owner))
        limits = self.settings.results
        new = NewResult(
            attempt,
            require_blobs(self._writer).write,
            retention=layout.first_class(retention, limits.retention),
            temp_file_max_bytes=limits.temp_file_max_bytes,
        )
        try:
            yield new
        except BaseException:
            self.discard(attempt)
            raise
        finally:
            new.end()
        sealed = self.seal(attempt, retention=retention)
        self._records.show(sealed)
        new.complete(sealed)

    def progress(self, done: float, total: float = 0, note: str = "") -> None:
        """Publish the progress of the running task, at most ten times a second. Outside a task, do nothing.

        A thread that the task started may call this; if several tasks run in the process, it needs the task's context.
        """
        runs = attempts.possible_attempts()
        if len(runs) > 1:
            _log.warning("progress_not_shown", reason="start the thread with contextvars.copy_context().run")
        elif runs and not runs[0].ended and runs[0].report(Progress.of(done, total, note)):
            self._records.show(runs[0].result())

    def seal(self, attempt: Attempt, *, value: bytes | None = None, retention: str | None = None) -> Result:
        """Commit what `attempt` stored and its plain `value` atomically; return the sealed Result.

        If another attempt was sealed first, return its outcome and delete the blobs of this one.
        Raises CommitUnknown (nothing was deleted), BlobStoreUnavailable and Misconfigured as `put` does, and
        ResultDeleted if the id was deleted.
        """
        try:
            chosen = layout.first_class(retention, self.settings.results.retention)
            self.owner_lister.add_attempt(attempt, retention=chosen)
            seal = require_blobs(self._seals).commit(attempt, value=value, retention=chosen)
        except (BlobStoreUnavailable, Misconfigured, TooLarge):  # definitely nothing was sealed
            self.discard(attempt)
            raise
        if seal.nonce != attempt.nonce:
            self.discard(attempt)
        result = seal.result()
        if result.state != State.SUCCESS:
            self._lookup.put_back(result)
            self.owner_lister.remove(attempt.owner, attempt.id)
            raise ResultDeleted.of(attempt.id)
        return result

    def discard(self, attempt: Attempt) -> None:
        """Delete the blobs of an attempt that will never be sealed. Best effort: lifecycle rules delete the rest."""
        if self.blobs is None or not attempt.keys:
            return
        try:
            self.blobs.delete(attempt.keys)
        except ResultStoreError as error:
            _log.warning("attempt_not_discarded", id=attempt.id, error=str(error))

    def download(
        self,
        artifact: Artifact | tuple[str, str],
        path: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        progress: bool | Report = False,
        on_behalf_of: str | None = None,
    ) -> Path:
        """Write the content to a local file, and return its path. The file appears when it is complete and verified.

        An interrupted download is resumed by the next one to the same path (a hidden `.part` file next to it).

        Args:
            artifact: the Artifact, or the id of its Result and its name.
            path: the file to create, or an existing folder for a file of the Artifact's file name.
            overwrite: replace a file that exists.
            progress: True reports the bytes as the task's progress; a function gets the bytes written and their total.
            on_behalf_of: as in `open`.

        Raises what `open` and its reads raise, FileExistsError, ResultMissing and ArtifactMissing.
        """
        one = artifact if isinstance(artifact, Artifact) else self.artifact(*artifact)
        report = self.progress if progress is True else progress or None
        opened = partial(self.open, one, on_behalf_of=on_behalf_of)
        return FileDownload(one, opened, report=report).save(path, overwrite=overwrite)

    def adopt(self, artifact: Artifact, attempt: Attempt) -> None:
        """Make a verified upload of the attempt's id its first Artifact; the bytes stay in place (`uploads/...`).

        Raises BadReference if it is not an upload of this id and owner, ChecksumMismatch if its bytes were replaced.
        """
        require_blobs(self._reader).adopt(artifact, attempt)

    def save(self, result: Result, *, over: Overwrite = Overwrite.UNLESS_SUCCESS, ttl_s: int | None = None) -> bool:
        """Write the record and publish the change; return True if it was written.

        A SUCCESS or a deletion is never overwritten. For a failure the seal is read first: if there is one, an earlier
        attempt succeeded, and its outcome is written instead. The record lives for `ttl_s` (0: no expiry), by default
        `settings.results.expires_s`, and never longer than the Result.
        """
        return self._records.save(result, over=over, ttl_s=ttl_s)

    def delete(self, result_id: str) -> None:
        """Delete a Result: write tombstones over its seal and record, then delete its blobs. Safe to repeat."""
        self.deleter.delete(id_of(result_id))
