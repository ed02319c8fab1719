"""Share: a permission to download one Artifact without signing in, and the token that proves it."""

import base64
import binascii
from typing import Final

import msgspec

from resultstore.model import layout
from resultstore.model.errors import ShareMissing
from resultstore.model.mac import Macs

TOKEN_PREFIX: Final = "rss_"  # noqa: S105 - so that logs are redacted, and secret scanners recognise a leaked token
_TOKEN_PURPOSE: Final = "share"  # noqa: S105 - the name of a derived key
_DOCUMENT_PURPOSE: Final = "share document"
_ID_BYTES: Final = 16
_MAC_BYTES: Final = 16
_MAX_TOKEN_CHARS: Final = 2_000
_CLASSES: Final = tuple(layout.RETENTION_S)


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """A permission to download one Artifact, until it expires or is revoked.

    Args:
        id: 128 random bits in hex.
        result_id: the Result of the Artifact.
        name: the Artifact's name.
        owner: the owner of the Result when the share was made.
        retention: the retention class of the share itself.
        created_at, expires_at: epoch seconds, by the object store's clock.
        inline: let a browser show the file, if its type is one that `Store.link` shows.
        max_uses: how many downloads may begin; 0 for any number.
        revoked_at: when it was revoked; None while it is valid.
    """

    id: str
    result_id: str
    name: str
    owner: str
    retention: str
    created_at: int
    expires_at: int
    inline: bool = False
    max_uses: int = 0
    revoked_at: int | None = None


class ShareKey(msgspec.Struct, frozen=True):
    """What a token names: a share of a Result, and its retention class, which finds it in the object store."""

    id: str
    retention: str
    result_id: str

    @property
    def object_key(self) -> str:
        """The key of the share's document."""
        return layout.share_key(self.result_id, share_id=self.id, retention=self.retention)


def key_of(share: Share) -> ShareKey:
    """Return what the token of a share names."""
    return ShareKey(share.id, share.retention, share.result_id)


def encode_token(key: ShareKey, macs: Macs) -> str:
    """Return the token: `rss_`, then share id, MAC, class and Result id in URL-safe base64.

    Raises BadReference without a secret key.
    """
    mac = bytes.fromhex(macs.sign(_TOKEN_PURPOSE, key.id, key.retention, key.result_id))
    content = bytes.fromhex(key.id) + mac + bytes([_CLASSES.index(key.retention)]) + key.result_id.encode()
    return TOKEN_PREFIX + base64.urlsafe_b64encode(content).decode().rstrip("=")


def decode_token(token: str, macs: Macs) -> ShareKey:
    """Return what a token names. Raises ShareMissing for a token that was not made with the secret key.

    The MAC is compared in constant time, before anything is read: guesses cost no request to the object store.
    """
    key, mac = _parse(token)
    if not macs.agrees(mac, _TOKEN_PURPOSE, key.id, key.retention, key.result_id):
        raise _unknown()
    return key


def encode_document(share: Share, macs: Macs) -> bytes:
    """Return the document of a share: its HMAC-SHA256 in hex, a newline, and its JSON."""
    body = msgspec.json.encode(share)
    return macs.digest(_DOCUMENT_PURPOSE, body).encode() + b"\n" + body


def decode_document(document: bytes, macs: Macs, *, key: ShareKey) -> Share:
    """Return the share of `key`. Raises ShareMissing for a document of another share, or one that was not signed."""
    digest, _, body = document.partition(b"\n")
    if not macs.digest_agrees(digest.decode(errors="replace"), _DOCUMENT_PURPOSE, body):
        raise _unknown()
    share = msgspec.json.decode(body, type=Share)
    if key_of(share) != key:
        raise _unknown()
    return share


def _parse(token: str) -> tuple[ShareKey, str]:
    text = token.removeprefix(TOKEN_PREFIX)
    if text == token or not text.isascii() or len(text) > _MAX_TOKEN_CHARS:
        raise _unknown()
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        share_id, rest = content[:_ID_BYTES], content[_ID_BYTES:]
        mac, rest = rest[:_MAC_BYTES], rest[_MAC_BYTES:]
        return ShareKey(share_id.hex(), _CLASSES[rest[0]], rest[1:].decode()), mac.hex()
    except (ValueError, binascii.Error, IndexError):
        raise _unknown() from None


def _unknown() -> ShareMissing:
    return ShareMissing("this share link is not valid: ask its sender for a new one")
