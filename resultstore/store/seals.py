"""Seals: writes and reads seals, the immutable documents that hold the outcome of a Result."""

import base64
import hashlib
import random
import time
from collections.abc import Iterator

import msgspec

from resultstore.blobs.blobstore import (
    AlreadyExists,
    BlobStore,
    Created,
    OutcomeUnknown,
)
from resultstore.blobs.stream import read_whole
from resultstore.model import layout, seal as documents
from resultstore.model.artifact import Artifact
from resultstore.model.errors import (
    ArtifactExpired,
    BlobMissing,
    BlobStoreUnavailable,
    ChecksumMismatch,
    CommitUnknown,
    Damaged,
    NotSupported,
    SealUnreadable,
    TooLarge,
)
from resultstore.model.mac import Macs
from resultstore.model.result import State
from resultstore.model.seal import MovedSection, Seal
from resultstore.store.attempt import Attempt
from resultstore.store.capabilities import CapabilityFinder


class Seals:
    """Writes and reads the seals of one store.

    Args:
        blobs: stores the seals.
        macs: signs the seals.
        budget_s: how long an unclear answer is retried before CommitUnknown is raised.
    """

    def __init__(self, blobs: BlobStore, macs: Macs, *, budget_s: float) -> None:
        self._blobs = blobs
        self._macs = macs
        self._budget_s = budget_s
        self._capabilities = CapabilityFinder(blobs, macs)

    def commit(self, attempt: Attempt, *, value: bytes | None, retention: str) -> Seal:
        """Commit `attempt` with `value` atomically; return the stored seal: this one, or that of an earlier attempt.

        Sections that were moved out of the document are part of the returned seal, as in `read`, except a long value.

        A crash before the PUT leaves unreachable blobs, which a lifecycle rule deletes. A crash after it leaves a
        sealed Result, which every look-up finds.

        Raises CommitUnknown if the store gives no clear answer in time, or a seal that cannot be read (nothing is
        deleted then), BlobStoreUnavailable if it definitely refuses, Misconfigured without conditional create.
        """
        self.check_sealing()
        longest = longest_class([artifact.retention for artifact in attempt.artifacts] or [retention])
        draft = self._draft(attempt, value=value, retention=longest)
        fitted = self._move_sections(draft, attempt, retention=longest)
        seal = msgspec.structs.replace(fitted, artifacts=draft.artifacts)  # a long list was moved to a blob
        key, document = layout.seal_key(attempt.id), self._document_of(fitted)
        reason = "the budget was spent before the first try"
        for number in _tries(self._budget_s):
            try:
                outcome = self._create(key, document, retention=longest)
            except BlobStoreUnavailable as error:
                if number == 0:
                    raise
                reason = str(error)  # this try was refused, but an earlier one may have succeeded
                break
            if isinstance(outcome, Created):
                return seal
            # A retried PUT that had succeeded answers "taken" to its own author, and a 503 can follow a commit: only
            # a read of the seal shows which. If it is absent, the same document is sent again.
            try:
                stored = self._read_stored(seal)
            except BlobStoreUnavailable as error:
                reason = str(error)
                continue
            except Damaged as error:  # perhaps damaged in transit: our seal may be intact in the store
                reason = f"what is stored cannot be read: {str(error).partition(': ')[0]}"
                continue
            if stored is not None:
                return stored
            reason = getattr(outcome, "reason", "the store says that the key exists, but returns nothing")
        raise CommitUnknown(
            f"the seal of {attempt.id} may or may not be stored ({reason}): nothing was deleted; "
            f"look {attempt.id} up later, or run the task again under the same id"
        )

    @property
    def capabilities(self) -> CapabilityFinder:
        """What the object store supports."""
        return self._capabilities

    def check_sealing(self) -> None:
        """Raise Misconfigured if the store cannot hold seals; it is probed once per process."""
        self._capabilities.check_sealing()

    def read(self, result_id: str) -> Seal | None:
        """Return the seal of an id with its moved sections (except a long value), or None if there is none.

        Raises SealUnreadable or ChecksumMismatch if it is damaged or not authentic, ArtifactExpired if its sections
        have expired, Misconfigured if the store has a newer format.
        """
        self._capabilities.check_format()
        seal = self._document(result_id)
        return None if seal is None else self._with_artifacts(seal)

    def value(self, seal: Seal) -> bytes | None:
        """Return the sealed value, from the seal or its blob. Raises ChecksumMismatch if the blob is damaged."""
        return seal.value_bytes if seal.value_at is None else self._section(seal.value_at, seal=seal)

    def table(self, seal: Seal, name: str) -> bytes | None:
        """Return the digest table of one Artifact's blob, or None if the seal has none."""
        if seal.tables_at is None:
            return seal.table(name)
        tables = msgspec.json.decode(self._section(seal.tables_at, seal=seal), type=dict[str, str])
        return base64.b64decode(tables[name]) if name in tables else None

    def write_tombstone(self, result_id: str) -> None:
        """Write a tombstone in place of the seal of this id."""
        tombstone = documents.tombstone(result_id, nonce=layout.new_nonce(), now=self._blobs.now())
        key, document = layout.seal_key(result_id), documents.encode(tombstone, self._macs)
        self._capabilities.check_format()
        try:
            self._blobs.replace(key, document, tags=self._capabilities.tags(documents.TOMBSTONE_CLASS))
        except NotSupported:
            if not self._capabilities.refuse_tags():
                raise
            self._blobs.replace(key, document, tags={})

    def _create(self, key: str, document: bytes, *, retention: str) -> Created | AlreadyExists | OutcomeUnknown:
        """Create a seal, without its tag if the store refuses tags: then `resultstore sweep` deletes it."""
        try:
            return self._blobs.create(key, document, tags=self._capabilities.tags(retention))
        except NotSupported:
            if not self._capabilities.refuse_tags():
                raise
            return self._blobs.create(key, document, tags={})

    def _read_stored(self, ours: Seal) -> Seal | None:
        """Read the seal that is stored under the id of `ours`; return `ours` itself if the nonces are equal."""
        found = self._document(ours.id)
        if found is None or found.nonce == ours.nonce:
            return found and ours
        return self._with_artifacts(found)

    def _document(self, result_id: str) -> Seal | None:
        """Read the document without the sections that were moved out of it."""
        try:
            document = read_document(self._blobs, layout.seal_key(result_id), of=result_id)
        except BlobMissing:
            return None
        return documents.decode(document, self._macs, id=result_id)

    def _with_artifacts(self, seal: Seal) -> Seal:
        if seal.artifacts_at is None:
            return seal
        listed = msgspec.json.decode(self._section(seal.artifacts_at, seal=seal), type=tuple[Artifact, ...])
        return msgspec.structs.replace(seal, artifacts=listed)

    def _draft(self, attempt: Attempt, *, value: bytes | None, retention: str) -> Seal:
        now = self._blobs.now()
        started_at = attempt.started_by(now)
        draft = Seal(
            format=layout.OBJECT_FORMAT,
            id=attempt.id,
            state=State.SUCCESS,
            nonce=attempt.nonce,
            task=attempt.task,
            owner=attempt.owner,
            started_at=started_at,
            sealed_at=now,
            expires_at=layout.expiry(retention, start=started_at),
            artifacts=attempt.artifacts,
            tables={name: base64.b64encode(table).decode() for name, table in attempt.tables.items()},
        )
        if value is not None and len(value) > documents.VALUE_MAX_BYTES:
            # It cannot fit in any encoding; encoding it only to find that out would copy it four times.
            return msgspec.structs.replace(draft, value_at=self._move(value, attempt, retention=retention))
        return documents.with_value(draft, value)

    def _move_sections(self, seal: Seal, attempt: Attempt, *, retention: str) -> Seal:
        """Move sections into blobs of the attempt until the document keeps its limits (docs/format.md)."""
        value, tables = seal.value_bytes, msgspec.json.encode(seal.tables)
        written = msgspec.json.encode(seal.value or seal.value_base64)  # the encoded length counts
        if value is not None and len(written) > documents.VALUE_MAX_BYTES:
            at = self._move(value, attempt, retention=retention)
            seal = msgspec.structs.replace(seal, value=None, value_base64=None, value_at=at)
        if len(tables) > documents.TABLES_MAX_BYTES:
            seal = msgspec.structs.replace(seal, tables={}, tables_at=self._move(tables, attempt, retention=retention))
        if len(documents.encode(seal, self._macs)) > documents.SEAL_MAX_BYTES and seal.artifacts:
            at = self._move(msgspec.json.encode(seal.artifacts), attempt, retention=retention)
            seal = msgspec.structs.replace(seal, artifacts=(), artifacts_at=at)
        return seal

    def _document_of(self, seal: Seal) -> bytes:
        """Encode `seal`. Raises TooLarge if it is longer than readers accept."""
        document = documents.encode(seal, self._macs)
        if len(document) > documents.READ_MAX_BYTES:
            raise TooLarge(
                f"the seal of {seal.id[:100]} would have {len(document)} bytes, over {documents.READ_MAX_BYTES}: "
                "shorten its id, its owner or the name of its task"
            )
        return document

    def _move(self, section: bytes, attempt: Attempt, *, retention: str) -> MovedSection:
        key = attempt.new_key(retention)
        self._blobs.put(key, [section], media_type="application/octet-stream", size_hint_bytes=len(section))
        return MovedSection(key=key, size_bytes=len(section), sha256=hashlib.sha256(section).hexdigest())

    def _section(self, at: MovedSection, *, seal: Seal) -> bytes:
        def damaged() -> ChecksumMismatch:
            return ChecksumMismatch(f"a section of the seal of {seal.id} is damaged in the store: run the task again")

        try:
            section = read_whole(self._blobs.get(at.key), max_bytes=at.size_bytes, error=damaged)
        except BlobMissing as error:
            if seal.expires_at is not None and self._blobs.now() >= seal.expires_at:
                raise ArtifactExpired(f"result {seal.id} has expired: run the task again") from error
            raise ChecksumMismatch(f"a section of the seal of {seal.id} is gone: run the task again") from error
        if hashlib.sha256(section).hexdigest() != at.sha256:
            raise damaged()
        return section


def read_document(blobs: BlobStore, key: str, *, of: str) -> bytes:
    """Read the bytes of a seal, with a limit, because an attacker may have replaced it by a huge object.

    Raises BlobMissing, and SealUnreadable, naming `of`, if it is longer than any seal.
    """
    text = (
        f"the seal of {of} is longer than {documents.READ_MAX_BYTES} bytes, so it was overwritten: restore it from a "
        f"backup, or delete {of}"
    )
    return read_whole(blobs.get(key), max_bytes=documents.READ_MAX_BYTES, error=lambda: SealUnreadable(text))


def longest_class(classes: list[str]) -> str:
    """Return the retention class that keeps longest."""
    return max(classes, key=list(layout.RETENTION_S).index)


def _tries(budget_s: float) -> Iterator[int]:
    """Yield the number of each try until the budget is spent, at least once, with back-off and full jitter between.

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    end = time.monotonic() + budget_s
    number = 0
    while True:
        yield number
        pause_s = random.uniform(0, min(5.0, 0.05 * 2**number))  # noqa: S311 - jitter, not a secret
        if time.monotonic() + pause_s >= end:
            return
        time.sleep(pause_s)
        number += 1
