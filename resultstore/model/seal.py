"""Seal: the write-once document in the object store that commits a Result.

docs/format.md is its specification. The document is one JSON object whose last member is `digest`. It covers every
byte before `,"digest":`, as `hmac-sha256:` and an HMAC by the secret key, or `sha256:` and a hash without a key.
"""

import base64
import hashlib
import re
from collections.abc import Mapping

import msgspec

from resultstore.model.artifact import Artifact
from resultstore.model.errors import SealUnreadable
from resultstore.model.layout import OBJECT_FORMAT, expiry
from resultstore.model.mac import Macs
from resultstore.model.result import Result

SEAL_MAX_BYTES = 64 * 1024
VALUE_MAX_BYTES = 48 * 1024
TABLES_MAX_BYTES = 16 * 1024
READ_MAX_BYTES = 512 * 1024  # escapes and base64 may make a document longer than its sections

DELETED = "DELETED"  # the state of a tombstone
TOMBSTONE_CLASS = "30d"  # how long one is kept

_PURPOSE = "seal"
_TAIL = re.compile(rb',"digest":"(hmac-sha256|sha256):([0-9a-f]{64})"}\Z')
_TAIL_MAX_BYTES = 89


class MovedSection(msgspec.Struct, frozen=True, kw_only=True):
    """Reference to a section that was too large for the seal and is stored in a blob of the same attempt."""

    key: str
    size_bytes: int
    sha256: str


class Seal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Outcome of a Result, as it is committed to the object store.

    Args:
        format: version of the written format.
        id: id of the Result as it was given, with all its characters.
        state: SUCCESS, or DELETED for a tombstone.
        nonce: id of the attempt that wrote it; the keys of its blobs hold the same nonce.
        started_at, sealed_at: seconds since the epoch by the store's clock.
        expires_at: latest expiry of its parts; None if one of them is kept.
        value: the plain value if its bytes are UTF-8, otherwise `value_base64`. `value_at` refers to it if it was
            moved to a blob.
        artifacts: the large outputs. `artifacts_at` refers to their JSON list if it was moved to a blob.
        tables: base64 of the digest table of each Artifact's blob, by name. `tables_at` refers to their JSON if it
            was moved to a blob.
    """

    format: int
    id: str
    state: str
    nonce: str
    sealed_at: float
    task: str = ""
    owner: str = ""
    started_at: float | None = None
    expires_at: int | None = None
    value: str | None = None
    value_base64: str | None = None
    value_at: MovedSection | None = None
    artifacts: tuple[Artifact, ...] = ()
    artifacts_at: MovedSection | None = None
    tables: Mapping[str, str] = msgspec.field(default_factory=dict)
    tables_at: MovedSection | None = None

    @property
    def value_bytes(self) -> bytes | None:
        """The value as the backend encoded it; None if there is none or if it was moved to a blob."""
        if self.value is not None:
            return self.value.encode()
        return None if self.value_base64 is None else base64.b64decode(self.value_base64)

    def table(self, name: str) -> bytes | None:
        """Return the digest table of one Artifact, or None if the seal does not hold it."""
        text = self.tables.get(name)
        return None if text is None else base64.b64decode(text)

    def result(self) -> Result:
        """Return the Result that this seal describes. Sections that were moved to blobs must be restored first."""
        return Result(
            id=self.id,
            state=self.state,
            task=self.task,
            owner=self.owner,
            value=self.value_bytes,
            artifacts=self.artifacts,
            sealed=True,
            nonce=self.nonce,
            started_at=self.started_at,
            ended_at=self.sealed_at,
            changed_at=self.sealed_at,
            expires_at=self.expires_at,
        )


def with_value(seal: Seal, value: bytes | None) -> Seal:
    """Return a copy that holds `value`, as text if it is UTF-8."""
    if value is None:
        return seal
    try:
        return msgspec.structs.replace(seal, value=value.decode(), value_base64=None)
    except UnicodeDecodeError:
        return msgspec.structs.replace(seal, value=None, value_base64=base64.b64encode(value).decode())


def encode(seal: Seal, macs: Macs) -> bytes:
    """Return the document's bytes, with its digest at the end: an HMAC if there is a secret key."""
    body = msgspec.json.encode(seal)[:-1]  # without the closing brace: the digest becomes the last member
    digest = f"hmac-sha256:{macs.digest(_PURPOSE, body)}" if macs else f"sha256:{hashlib.sha256(body).hexdigest()}"
    return body + f',"digest":"{digest}"}}'.encode()


def decode(document: bytes, macs: Macs, *, id: str) -> Seal:
    """Return the seal that was found under the key of `id`.

    Raises SealUnreadable if it is damaged, not signed with the store's key, of a newer format, or names another id
    (a swapped object).
    """
    seal = parse(document, macs, of=id)
    if seal.id != id:
        raise SealUnreadable(f"the seal found for {id} names another id: the store's objects were swapped")
    return seal


def parse(document: bytes, macs: Macs, *, of: str) -> Seal:
    """Return a seal whose id is not known yet. Raises SealUnreadable, which names it the seal of `of`."""
    _check_digest(document, macs, of=of)
    try:
        head = msgspec.json.decode(document, type=_Head)
        if head.format > OBJECT_FORMAT:
            raise SealUnreadable(f"the seal of {of} is of format {head.format}: upgrade resultstore to read it")
        return msgspec.json.decode(document, type=Seal)
    except msgspec.DecodeError as error:
        raise SealUnreadable(f"the seal of {of} does not parse ({error}): restore it, or delete {of}") from error


def tombstone(id: str, *, nonce: str, now: float) -> Seal:
    """Return the seal that replaces the one of a deleted Result, so that a late attempt cannot seal it again.

    It is kept as long as a message with a spilled argument may wait in a queue: until then its task may still start.
    """
    expires_at = expiry(TOMBSTONE_CLASS, start=now)
    return Seal(format=OBJECT_FORMAT, id=id, state=DELETED, nonce=nonce, sealed_at=now, expires_at=expires_at)


class _Head(msgspec.Struct):
    format: int


def _check_digest(document: bytes, macs: Macs, *, of: str) -> None:
    tail = _TAIL.search(document, max(0, len(document) - _TAIL_MAX_BYTES))
    signed = tail is not None and tail[1] == b"hmac-sha256"
    if signed and not macs:
        raise SealUnreadable(f"the seal of {of} is signed, and there is no key to check it: set RESULTSTORE_SECRET_KEY")
    if tail is not None and macs and not signed and not macs.accept_unsigned:
        raise SealUnreadable(
            f"the seal of {of} is not signed: another program wrote it, or this store before it had a secret key (then "
            f"set RESULTSTORE_ACCEPT_UNSIGNED=true until such results have expired), or delete {of}"
        )
    if tail is None or not _agrees(document[: tail.start()], tail[2].decode(), macs if signed else None):
        raise SealUnreadable(
            f"the seal of {of} does not match its digest: give all processes the same RESULTSTORE_SECRET_KEY, name an "
            f"earlier key in RESULTSTORE_SECRET_KEY_OLD, or, if the seal was damaged, restore it from a backup"
        )


def _agrees(body: bytes, digest: str, macs: Macs | None) -> bool:
    return hashlib.sha256(body).hexdigest() == digest if macs is None else macs.digest_agrees(digest, _PURPOSE, body)
