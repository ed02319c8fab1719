"""Marker: the document under `layout.LAYOUT_KEY`: which format a store holds, and what its object store keeps.

docs/format.md is its specification. With a secret key its last member is `digest`, an HMAC over every byte before
`,"digest":`, as in a seal. A marker without one is believed for format 1 alone, which says nothing more.
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
_MEND: Final = "run `resultstore setup --mend` to write it anew"


class StoreCapabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What an object store keeps of what S3 promises, as set-up found it.

    Args:
        creates_once: of several conditional PUTs to one key exactly one wins. Without it nothing is sealed.
        tags: objects can carry tags.
        blob_rules: lifecycle rules collect blobs and uploads.
        seal_rules: lifecycle rules collect seals, by their tag.
    """

    creates_once: bool = True
    tags: bool = True
    blob_rules: bool = True
    seal_rules: bool = True


class LayoutMarker(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The format of all that a store holds, and the traits that set-up found; None where an older one did not look."""

    format: int
    traits: StoreCapabilities | None = None


def encode(marker: LayoutMarker, macs: Macs) -> bytes:
    """The document's bytes, signed where there is a secret key."""
    document = msgspec.json.encode(marker)
    if not macs:
        return document
    body = document[:-1]  # without the closing brace: the digest becomes the last member
    return body + f',"digest":"hmac-sha256:{macs.digest(_PURPOSE, body)}"}}'.encode()


def decode(document: bytes, macs: Macs) -> LayoutMarker:
    """Read a marker. One without a digest tells its format alone where there is a secret key: its traits are left out.

    Raises LayoutUnreadable when it is no marker, is signed with another key, or is not signed and of another format.
    """
    try:
        marker = msgspec.json.decode(document, type=LayoutMarker)
    except msgspec.DecodeError as error:
        raise LayoutUnreadable(
            f"{LAYOUT_KEY} is not a layout marker: somebody replaced it, or this prefix is another program's; {_MEND}"
        ) from error
    if not macs:
        return marker
    tail = _TAIL.search(document)
    if tail is not None and macs.digest_agrees(tail[1].decode(), _PURPOSE, document[: tail.start()]):
        return marker
    if tail is not None:
        raise LayoutUnreadable(
            f"{LAYOUT_KEY} is not signed with our key: somebody replaced it, or another RESULTSTORE_SECRET_KEY is in "
            f"use; {_MEND}"
        )
    if macs.accept_unsigned:
        return marker
    if marker.format != OBJECT_FORMAT:
        raise LayoutUnreadable(
            f"{LAYOUT_KEY} names format {marker.format} and is not signed: somebody replaced it, or another version "
            f"wrote it; {_MEND}"
        )
    return LayoutMarker(format=marker.format)
