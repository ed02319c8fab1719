"""Layout marker: the document under `layout.LAYOUT_KEY`, with a store's format and its object store's capabilities.

docs/format.md is its specification. With a secret key its last member is `digest`, an HMAC over every byte before
`,"digest":`, as in a seal. A marker without a digest is accepted for format 1 only, without its capabilities.
"""

import re
from typing import Final

import msgspec

from resultstore.model.errors import LayoutUnreadable
from resultstore.model.layout import LAYOUT_KEY, OBJECT_FORMAT
from resultstore.model.mac import Macs

MARKER_MAX_BYTES: Final = 64 * 1024

_PURPOSE: Final = "layout"
_TAIL: Final = re.compile(rb',"digest":"hmac-sha256:([0-9a-f]{64})"}\s*\Z')
_MEND: Final = "run `resultstore setup --mend` to write it again"


class StoreCapabilities(msgspec.Struct, frozen=True, kw_only=True):
    """Features of S3 that an object store has, as `resultstore setup` found them.

    Args:
        creates_once: whether exactly one of several conditional PUTs to a key succeeds. Without it nothing is sealed.
        tags: whether objects can have tags.
        blob_rules: whether lifecycle rules delete expired blobs and uploads.
        seal_rules: whether lifecycle rules delete expired seals, by their tag.
    """

    creates_once: bool = True
    tags: bool = True
    blob_rules: bool = True
    seal_rules: bool = True


class LayoutMarker(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Format of a store, and the capabilities that set-up found; None if an older version did not check them."""

    format: int
    traits: StoreCapabilities | None = None


def encode(marker: LayoutMarker, macs: Macs) -> bytes:
    """Return the document's bytes, signed if there is a secret key."""
    document = msgspec.json.encode(marker)
    if not macs:
        return document
    body = document[:-1]  # without the closing brace: the digest becomes the last member
    return body + f',"digest":"hmac-sha256:{macs.digest(_PURPOSE, body)}"}}'.encode()


def decode(document: bytes, macs: Macs) -> LayoutMarker:
    """Return the marker. If there is a secret key and it has no digest, its capabilities are left out.

    Raises LayoutUnreadable if it is no marker, is signed with another key, or is not signed and of another format.
    """
    try:
        marker = msgspec.json.decode(document, type=LayoutMarker)
    except msgspec.DecodeError as error:
        raise LayoutUnreadable(
            f"{LAYOUT_KEY} is not a layout marker: it was replaced, or another program uses this prefix; {_MEND}"
        ) from error
    if not macs:
        return marker
    tail = _TAIL.search(document)
    if tail is not None and macs.digest_agrees(tail[1].decode(), _PURPOSE, document[: tail.start()]):
        return marker
    if tail is not None:
        raise LayoutUnreadable(
            f"{LAYOUT_KEY} is not signed with this RESULTSTORE_SECRET_KEY: it was replaced, or another key is in use; "
            f"{_MEND}"
        )
    if macs.accept_unsigned:
        return marker
    if marker.format != OBJECT_FORMAT:
        raise LayoutUnreadable(
            f"{LAYOUT_KEY} names format {marker.format} and is not signed: it was replaced, or another version "
            f"wrote it; {_MEND}"
        )
    return LayoutMarker(format=marker.format)
