"""Store: blobs, index and signer together; the one noun that users hold."""

import io
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import BinaryIO, cast

from resultstore.blobs.blobstore import BlobStore, SignedUrl, Signer
from resultstore.blobs.stream import Source
from resultstore.index.index import Index, Overwrite, Watch
from resultstore.model import layout
from resultstore.model.artifact import Artifact, Scalar
from resultstore.model.errors import BlobStoreUnavailable, Misconfigured, ResultDeleted, ResultStoreError, TooLarge
from resultstore.model.ids import id_of
from resultstore.model.result import Progress, Result, State
from resultstore.settings import Settings
from resultstore.store import attempt as attempts
from resultstore.store.attempt import Attempt
from resultstore.store.byte_count import ByteCounter
from resultstore.store.deleting import ResultDeleter
from resultstore.store.links import ArtifactLinks
from resultstore.store.lookup import Lookup
from resultstore.store.owner_lister import OwnerLister
from resultstore.store.policy import DEFAULT
from resultstore.store.reading import ArtifactReader
from resultstore.store.record_writer import RecordWriter
from resultstore.store.required import require_blobs
from resultstore.store.seals import Seals
from resultstore.store.signatures import Signatures
from resultstore.store.waiting import wait_for
from resultstore.store.writer import Writer
from resultstore.store.writing import ArtifactWriter, Label, standing
from resultstore.telemetry.logs import Log

_log = Log(__name__)


class Store:
    """Keeps large outputs in an object store, and a small record of each Result in an index.

    Make one with `resultstore.connect()`. It may be shared by threads, and used on both sides of a fork.

    Args:
        index: the records.
        blobs: the bytes; None keeps plain values only, in the index.
        signer: makes URLs; None where there are no blobs.
        settings: the limits that hold.
    """

    def __init__(
        self, *, index: Index, blobs: BlobStore | None, signer: Signer | None, settings: Settings | None = None
    ) -> None:
        self.settings = settings or Settings()
        self.index = index
        self.blobs = blobs
        self.signer = signer
        self.signatures = Signatures.from_settings(self.settings)
        self._seals = self._writer = self._reader = self._links = None
        if blobs is not None:
            self._seals = Seals(blobs, self.signatures.macs, budget_s=self.settings.results.commit_budget_s)
            self._writer = ArtifactWriter(blobs, self.signatures)
            self._reader = ArtifactReader(blobs, self._seals, self.signatures)
            self._links = ArtifactLinks(self._reader, signer, length_s=self.settings.urls.expires_s)
        self.byte_counter = ByteCounter(index)
        self._lookup = Lookup(index, self._seals, self.signatures, settings=self.settings)
        self.owner_lister = OwnerLister(index, blobs=blobs, lookup=self._lookup)
        self._records = RecordWriter(index, self._lookup, settings=self.settings, byte_counter=self.byte_counter)
        self.deleter = ResultDeleter(
            index, blobs=blobs, seals=self._seals, find=self.load, uncount=self.byte_counter.forget
        )

    def put(
        self,
        data: Source,
        *,
        name: str | None = None,
        media_type: str | None = None,
        id: str | None = None,
        metadata: Mapping[str, Scalar] | None = None,
        retention: str | None = None,
        compress: bool = False,
        size_hint_bytes: int | None = None,
    ) -> Artifact:
        """Store all of `data`, or nothing.

        Outside a task, or with an `id`, it becomes a Result of its own and is sealed before this returns. Inside a
        task it is a part of the running attempt: visible at once, and bound when the task ends.

        Args:
            data: bytes, a Path, an open binary file, or an iterable of bytes; it is streamed, never gathered.
            name: its name within the Result; by default the file's name, else "output".
            media_type: its type (RFC 6838); by default from the name's ending.
            id: the Result's id, to store it as a Result of its own.
            metadata: small facts that travel with the Artifact.
            retention: a retention class; by default `Settings.retention`.
            compress: store it as zstd (see docs/format.md); for text-like content.
            size_hint_bytes: the expected length of an iterator beyond 78 GiB.

        Raises:
            BlobStoreUnavailable, BlobStoreFull: the store cannot take it; nothing of it stays readable.
            CommitUnknown: it was stored, and whether it is sealed only a later look-up tells.
            BadReference: the name or the id is taken or malformed.
            Misconfigured: there is no object store, or one without conditional create.
        """
        running = attempts.current() if id is None else None
        keeping = DEFAULT if running is None else running.keeping
        label = Label(
            name=name or "",
            media_type=media_type or "",
            metadata={} if metadata is None else metadata,
            retention=layout.first_class(retention, keeping.retention, self.settings.results.retention),
            compress=compress or bool(keeping.compress),
        )
        if running is not None:
            artifact = require_blobs(self._writer).take(running, data, label, size_hint_bytes=size_hint_bytes)
            self._records.show(running.result())
            return artifact
        require_blobs(self._seals).check_sealing()  # before any byte is sent
        own = Attempt(str(uuid.uuid4()) if id is None else id, owner=attempts.inherited_owner())
        artifact = require_blobs(self._writer).take(own, data, label, size_hint_bytes=size_hint_bytes)
        sealed = self.seal(own)
        self._records.show(sealed)
        return artifact if sealed.nonce == own.nonce else standing(sealed, artifact)

    @contextmanager
    def writer(
        self,
        *,
        name: str,
        media_type: str | None = None,
        id: str | None = None,
        metadata: Mapping[str, Scalar] | None = None,
        retention: str | None = None,
        compress: bool = False,
    ) -> Iterator[Writer]:
        """A write-only, non-seekable file, which streams into the store; nothing stays when its block raises.

        Then the Artifact is in `.artifact`. Arguments and errors are those of `put`; `metadata` is read at the end.
        """
        kept = partial(self.put, name=name, media_type=media_type, id=id, metadata=metadata, retention=retention)
        writer = Writer(partial(kept, compress=compress))
        try:
            yield writer
            writer.finish()
        except BaseException:  # of the block, or a time limit's signal while the rest is sent: no thread may stay
            writer.abort()
            raise

    def progress(self, done: float, total: float = 0, note: str = "") -> None:
        """Show watchers how far the running task is, at most ten times a second. Outside a task: nothing.

        A thread of the task reports for it; where several tasks run in the process, it needs its context.
        """
        runs = attempts.possible_attempts()
        if len(runs) > 1:
            _log.warning("progress_not_shown", reason="start the thread with contextvars.copy_context().run")
        elif runs and runs[0].report(Progress.of(done, total, note)):
            self._records.show(runs[0].result())

    def seal(self, attempt: Attempt, *, value: bytes | None = None, retention: str | None = None) -> Result:
        """Bind what `attempt` made, with its plain `value`, for good; gives the Result as it is sealed.

        When another attempt was first, its outcome is given and the blobs of this one are deleted.
        Raises CommitUnknown (nothing was deleted), BlobStoreUnavailable, Misconfigured as `put` does, ResultDeleted.
        """
        try:
            chosen = layout.first_class(retention, self.settings.results.retention)
            self.owner_lister.expect_seal(attempt, retention=chosen)
            seal = require_blobs(self._seals).commit(attempt, value=value, retention=chosen)
        except (BlobStoreUnavailable, Misconfigured, TooLarge):  # a definite refusal: nothing was sealed
            self.discard(attempt)
            raise
        if seal.nonce != attempt.nonce:
            self.discard(attempt)
        result = seal.result()
        if result.state != State.SUCCESS:
            self._lookup.put_back(result)
            self.owner_lister.forget(attempt.owner, attempt.id)
            raise ResultDeleted.of(attempt.id)
        return result

    def discard(self, attempt: Attempt) -> None:
        """Delete what an attempt wrote that will never be sealed. Best effort: lifecycle collects the rest."""
        if self.blobs is None or not attempt.keys:
            return
        try:
            self.blobs.delete(attempt.keys)
        except ResultStoreError as error:
            _log.warning("attempt_not_discarded", id=attempt.id, error=str(error))

    def open(self, artifact: Artifact, *, on_behalf_of: str | None = None) -> BinaryIO:
        """A seekable file that streams the Artifact's content; every byte it gives was verified.

        `on_behalf_of` names the owner to act for, inside a task that `Settings.system_tasks` names.

        Raises:
            ArtifactExpired: its time is over.
            BadReference: this store did not make it. NotYours: inside a task and its threads, it is another owner's.
            BlobMissing, ChecksumMismatch: at a read, when the store lost or damaged it.
        """
        reader = require_blobs(self._reader).reader(artifact, on_behalf_of=on_behalf_of)
        return cast("BinaryIO", io.BufferedReader(reader, buffer_size=1 << 20))

    def adopt(self, artifact: Artifact, attempt: Attempt) -> None:
        """Make a verified upload (`uploads/...`, of the attempt's own id) the first part of `attempt`, in place.

        Raises BadReference when it is no upload of this id and owner, ChecksumMismatch when other bytes stand there.
        """
        require_blobs(self._reader).adopt(artifact, attempt)

    def url(self, artifact: Artifact, *, expires_in_s: int | None = None, inline: bool = False) -> str:
        """A presigned URL of the Artifact: see `link`."""
        return self.link(artifact, expires_in_s=expires_in_s, inline=inline).url

    def link(
        self,
        artifact: Artifact,
        *,
        expires_in_s: int | None = None,
        inline: bool = False,
        on_behalf_of: str | None = None,
    ) -> SignedUrl:
        """A presigned URL of the Artifact, with the moment from which it is refused.

        It works for `expires_in_s` (by default `Settings.url_expires_s`; 2 h for sound and film that is shown), less up
        to `Settings.url_window_s`, for which it stays the same; never longer than the Artifact lives. `inline` shows it
        where its type is harmless: PNG, JPEG, GIF, WebP, AVIF, audio, MP4 and WebM.

        `on_behalf_of` as in `open`. Raises ArtifactExpired, also with less than 30 s left; BadReference and NotYours.
        """
        links = require_blobs(self._links)
        return links.link(artifact, expires_in_s=expires_in_s, inline=inline, on_behalf_of=on_behalf_of)

    def value(self, result: Result) -> bytes | None:
        """The plain value, as its door encoded it, or None. Raises ArtifactExpired, ResultMissing when it is gone."""
        if not result.sealed or (self._reader is None and result.value is not None):
            return result.value
        return require_blobs(self._reader).value(result)

    def load(self, result_id: str) -> Result | None:
        """The Result, from its record or from its seal; None when the id is unknown."""
        return self._lookup.find(id_of(result_id))

    def outcome(self, result_id: str) -> Result | None:
        """Read the seal, and return the sealed Result with its record put back; None where none can be read."""
        return self.load(result_id) if self._lookup.restore(id_of(result_id)) else None

    def load_many(self, result_ids: Sequence[str]) -> list[Result | None]:
        """Many Results in one round trip, in the order of their ids."""
        return self._lookup.find_many(list(map(id_of, result_ids)))

    def known_many(self, result_ids: Sequence[str]) -> list[Result | None]:
        """Of many ids the Results that the index alone can tell, never asking the object store; None for the others."""
        return self._lookup.known_many(list(map(id_of, result_ids)))

    def peek(self, result_id: str) -> Result | None:
        """State and progress only: never reads a value or a list of Artifacts, whatever their size."""
        return self._lookup.poll(id_of(result_id))

    def peek_many(self, result_ids: Sequence[str]) -> list[Result | None]:
        """The same for many in one round trip, in the order of their ids."""
        return self._lookup.poll_many(list(map(id_of, result_ids)))

    def wait(self, result_id: str, *, timeout_s: float | None = None) -> Result:
        """The Result once it is terminal. Raises TimeoutError after `timeout_s` (None: never), or ResultDeleted."""
        return wait_for(self.index, self.load, id_of(result_id), timeout_s=timeout_s, deleted=self.was_deleted)

    def was_deleted(self, result_id: str) -> bool:
        """Whether this id was deleted. For a month nothing is stored under it, by whatever worker."""
        return self._lookup.was_deleted(id_of(result_id))

    def deleted_many(self, result_ids: Sequence[str]) -> list[str]:
        """Those of many ids that are known to be deleted, in one round trip; the object store is not asked."""
        return self._lookup.deleted_many(list(map(id_of, result_ids)))

    def is_wanted(self, result_id: str) -> bool:
        """Whether work of this id is still to be done: it was neither cancelled nor deleted. Reads no value."""
        return self._lookup.is_wanted(id_of(result_id))

    def watch(self, result_id: str) -> AbstractContextManager[Watch]:
        """Subscribe to the changes of an id."""
        return self.index.events.watch(id_of(result_id))

    def ids(self, *, owner: str | None = None, limit: int = 100) -> Iterator[str]:
        """Up to `limit` ids that the index knows, newest first where an owner is named."""
        return self.index.listing.ids(owner=owner, limit=limit)

    def save(self, result: Result, *, over: Overwrite = Overwrite.UNLESS_SUCCESS, ttl_s: int | None = None) -> bool:
        """Write the record and announce it; whether it was written (a SUCCESS or a deletion is never overwritten).

        A failure asks for the seal first: where one stands, an earlier attempt succeeded, and its outcome is written.
        The record lives `ttl_s` (0: for ever), by default `Settings.result_expires_s`, and not beyond the Result.
        """
        return self._records.save(result, over=over, ttl_s=ttl_s)

    def delete(self, result_id: str) -> None:
        """Delete a Result: tombstones over seal and record, then its blobs. May be called again after a failure."""
        self.deleter.delete(id_of(result_id))
