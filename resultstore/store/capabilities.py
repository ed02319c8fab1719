"""CapabilityFinder: learns once a process what the object store keeps, before the first seal is read or written."""

from contextlib import suppress
from typing import Final

from resultstore.blobs.blobstore import BlobStore, Created, OutcomeUnknown, ProbedCapabilities
from resultstore.blobs.stream import read_whole
from resultstore.model import layout, layout_marker as documents
from resultstore.model.errors import (
    BlobMissing,
    BlobStoreUnavailable,
    Damaged,
    LayoutUnreadable,
    Misconfigured,
    NotSupported,
    ResultStoreError,
)
from resultstore.model.layout_marker import LayoutMarker
from resultstore.model.mac import Macs
from resultstore.telemetry.logs import Log

_log = Log(__name__)

PROBE_ID: Final = "probe"
PROBE_CLASS: Final = "1d"  # what a process that is killed leaves behind, lifecycle collects


class CapabilityFinder:
    """What one store keeps, by its `layout.json` or, where that does not tell, by trying.

    Drivers without ProbedCapabilities keep all that their contract says, and are not asked. What was learned stays for
    the life of this object; a fork inherits it.

    Args:
        blobs: the object store.
        macs: tells whether the marker is ours.
    """

    def __init__(self, blobs: BlobStore, macs: Macs) -> None:
        self._blobs = blobs
        self._macs = macs
        self._marker: LayoutMarker | None = None
        self._creates_once = False
        self._tags = True
        self._negotiated = isinstance(blobs, ProbedCapabilities)
        self._read = not self._negotiated

    def check_format(self) -> None:
        """Read the marker, once. Raises Misconfigured when it names a format that this version does not read.

        A marker that is missing, or was replaced by another, stops nobody: seals name their own format.
        """
        if not self._read:
            self._marker = self._read_marker()
            self._tags = self._marker is None or self._marker.traits is None or self._marker.traits.tags
            self._read = True
        if self._marker is not None and self._marker.format > layout.OBJECT_FORMAT:
            raise Misconfigured(
                f"{layout.LAYOUT_KEY} names format {self._marker.format}, this version reads {layout.OBJECT_FORMAT}: "
                "upgrade resultstore to read this store"
            )

    def check_sealing(self) -> None:
        """Raise Misconfigured where several attempts could each seal one Result: there nothing is to be sealed.

        Raises BlobStoreUnavailable when the store does not tell now.
        """
        self.check_format()
        if self._creates_once or not self._negotiated:
            return
        noted = None if self._marker is None else self._marker.traits
        if noted is None:
            check_conditional_create(self._blobs)
        elif not noted.creates_once:
            raise no_conditional_create(self._blobs, "its layout.json says so")
        self._creates_once = True

    def tags(self, retention: str) -> dict[str, str]:
        """The tags of a seal of this class; none where the store refuses tags."""
        return {"rs-class": retention} if self._tags else {}

    def refuse_tags(self) -> bool:
        """Note that the store refuses tags; whether that was news."""
        news, self._tags = self._tags, False
        return news

    def _read_marker(self) -> LayoutMarker | None:
        try:
            return read_marker(self._blobs, self._macs)
        except (BlobMissing, BlobStoreUnavailable):  # where listing is not allowed, AWS answers 403 for what is missing
            return None
        except Damaged as error:  # replaced by what is none of ours, or by what nobody can read
            _log.warning("layout_not_ours", key=layout.LAYOUT_KEY, error=str(error))
            return None


def read_marker(blobs: BlobStore, macs: Macs) -> LayoutMarker:
    """The marker that is stored. Raises BlobMissing, and LayoutUnreadable when it is not one of ours."""
    what = f"{layout.LAYOUT_KEY} is longer than any of ours: somebody replaced it; run `resultstore setup --mend`"
    document = read_whole(
        blobs.get(layout.LAYOUT_KEY), max_bytes=documents.MARKER_MAX_BYTES, error=lambda: LayoutUnreadable(what)
    )
    return documents.decode(document, macs)


def check_conditional_create(blobs: BlobStore) -> None:
    """Create one key twice: the second must be refused.

    Raises Misconfigured where it is not, BlobStoreUnavailable when the store gives no clear answer.
    """
    key = layout.blob_key(PROBE_ID, retention=PROBE_CLASS, nonce=layout.new_nonce(), n=0)
    try:
        answers = [blobs.create(key, body, tags={}) for body in (b"first", b"second")]
    except NotSupported as error:
        raise no_conditional_create(blobs, str(error)) from error
    finally:
        with suppress(ResultStoreError):
            blobs.delete([key])
    unclear = next((one.reason for one in answers if isinstance(one, OutcomeUnknown)), None)
    if unclear is not None:
        raise BlobStoreUnavailable(f"whether the store honours If-None-Match cannot be told now: {unclear}")
    if isinstance(answers[1], Created):
        raise no_conditional_create(blobs, "it accepted a second creation of one key")


def no_conditional_create(blobs: object, found: str) -> Misconfigured:
    """The error that names a store where nothing can be sealed."""
    where = blobs.where if isinstance(blobs, ProbedCapabilities) else "the object store"
    return Misconfigured(
        f"{where} does not honour If-None-Match ({found}), so two attempts could both seal one Result: nothing is "
        "sealed there; use a store with conditional writes (see `resultstore doctor`)"
    )
