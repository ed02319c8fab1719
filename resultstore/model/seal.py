"""Seal: the write-once document in the object store that says how a Result ended.

docs/format.md is its specification. The document is one JSON object whose last member is `digest`, over every byte
that stands before `,"digest":`: `hmac-sha256:` and an HMAC by the secret key, or `sha256:` and a hash where there is
no key.
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
    """A section that was too big for the seal and stands in a blob of the same attempt."""

    key: str
    size_bytes: int
    sha256: str


class Seal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a Result ended.

    Args:
        format: version of the written format.
        id: the Result's id as it was given, whatever characters it has.
        state: SUCCESS, or DELETED for a tombstone.
        nonce: the attempt that wrote it; its blobs carry the same nonce in their keys.
        started_at, sealed_at: seconds since the epoch by the store's clock.
        expires_at: the latest expiry of its parts; None when one is kept.
        value: the plain value where its bytes are UTF-8; `value_base64` where they are not; `value_at` when moved out.
        artifacts: its large outputs; `artifacts_at` holds the JSON list when moved out.
        tables: base64 of the digest table of each Artifact's blob, by name; `tables_at` holds the JSON when moved out.
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
        """The value as the door encoded it; None when there is none or when it was moved out."""
        if self.value is not None:
            return self.value.encode()
        return None if self.value_base64 is None else base64.b64decode(self.value_base64)

    def table(self, name: str) -> bytes | None:
        """The digest table of one Artifact, or None when it is not here."""
        text = self.tables.get(name)
        return None if text is None else base64.b64decode(text)

    def result(self) -> Result:
        """The Result as far as the seal tells it; a moved value or list must be put in before."""
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
    """A copy that holds `value` inline, as text where it is UTF-8."""
    if value is None:
        return seal
    try:
        return msgspec.structs.replace(seal, value=value.decode(), value_base64=None)
    except UnicodeDecodeError:
        return msgspec.structs.replace(seal, value=None, value_base64=base64.b64encode(value).decode())


def encode(seal: Seal, macs: Macs) -> bytes:
    """The document's bytes, its digest at the end: an HMAC where there is a secret key."""
    body = msgspec.json.encode(seal)[:-1]  # without the closing brace: the digest becomes the last member
    digest = f"hmac-sha256:{macs.digest(_PURPOSE, body)}" if macs else f"sha256:{hashlib.sha256(body).hexdigest()}"
    return body + f',"digest":"{digest}"}}'.encode()


def decode(document: bytes, macs: Macs, *, id: str) -> Seal:
    """Read a seal that was found under the key of `id`.

    Raises SealUnreadable when it is damaged, not signed with our key, of a newer format, or speaks of another id (a
    swapped object).
    """
    seal = parse(document, macs, of=id)
    if seal.id != id:
        raise SealUnreadable(f"the seal found for {id} speaks of another id: the store's objects were swapped")
    return seal


def parse(document: bytes, macs: Macs, *, of: str) -> Seal:
    """Read a seal whose id is not known yet; messages call it the seal of `of`. Raises SealUnreadable."""
    _check_digest(document, macs, of=of)
    try:
        head = msgspec.json.decode(document, type=_Head)
        if head.format > OBJECT_FORMAT:
            raise SealUnreadable(f"the seal of {of} is of format {head.format}: upgrade resultstore to read it")
        return msgspec.json.decode(document, type=Seal)
    except msgspec.DecodeError as error:
        raise SealUnreadable(f"the seal of {of} does not parse ({error}): restore it, or delete {of}") from error


def tombstone(id: str, *, nonce: str, now: float) -> Seal:
    """What is put over a seal when its Result is deleted, so that a late attempt meets it.

    Kept as long as a message with a spilled argument may wait: until then its work may still be begun.
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
            f"the seal of {of} is not signed: somebody else wrote it, or this store before it had a secret key (then "
            f"set RESULTSTORE_ACCEPT_UNSIGNED=true until such results have expired), or delete {of}"
        )
    if tail is None or not _agrees(document[: tail.start()], tail[2].decode(), macs if signed else None):
        raise SealUnreadable(
            f"the seal of {of} does not match its digest: restore it from a backup, name the key that signed it in "
            f"RESULTSTORE_SECRET_KEY_OLD, or delete {of}"
        )


def _agrees(body: bytes, digest: str, macs: Macs | None) -> bool:
    return hashlib.sha256(body).hexdigest() == digest if macs is None else macs.digest_agrees(digest, _PURPOSE, body)
