"""CapabilityFinder: finds out once per process what the object store supports, before the first seal."""

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
PROBE_CLASS: Final = "1d"  # a killed process leaves probe objects to the lifecycle rules


class CapabilityFinder:
    """Finds the capabilities of one store from its `layout.json`, or by a probe if that file does not name them.

    A driver without ProbedCapabilities supports its whole contract and is not probed. The answer is cached for the
    life of this object; a fork inherits it.

    Args:
        blobs: the object store.
        macs: checks that the marker was written with the secret key.
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
        """Read the marker once. Raises Misconfigured if it names a format that this version cannot read.

        A missing or replaced marker is no error, because each seal names its own format.
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
        """Raise Misconfigured if the store has no conditional create: several attempts could each seal one Result.

        Raises BlobStoreUnavailable if the probe gets no clear answer.
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
        """Return the tags of a seal of this class; {} if the store refuses tags."""
        return {"rs-class": retention} if self._tags else {}

    def refuse_tags(self) -> bool:
        """Remember that the store refuses tags; return True if that was not known before."""
        was_unknown, self._tags = self._tags, False
        return was_unknown

    def _read_marker(self) -> LayoutMarker | None:
        try:
            return read_marker(self._blobs, self._macs)
        except (BlobMissing, BlobStoreUnavailable):  # without the list permission AWS answers 403 for a missing key
            return None
        except Damaged as error:  # replaced by an unsigned or unreadable document
            _log.warning("layout_not_ours", key=layout.LAYOUT_KEY, error=str(error))
            return None


def read_marker(blobs: BlobStore, macs: Macs) -> LayoutMarker:
    """Return the stored layout marker. Raises BlobMissing, and LayoutUnreadable if it is not authentic."""
    what = f"{layout.LAYOUT_KEY} is longer than a layout marker, so it was replaced: run `resultstore setup --mend`"
    document = read_whole(
        blobs.get(layout.LAYOUT_KEY), max_bytes=documents.MARKER_MAX_BYTES, error=lambda: LayoutUnreadable(what)
    )
    return documents.decode(document, macs)


def check_conditional_create(blobs: BlobStore) -> None:
    """Probe conditional create: create one key twice, where the second must be refused.

    Raises Misconfigured if it is not, BlobStoreUnavailable if the store gives no clear answer.
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
        raise BlobStoreUnavailable(f"the probe of If-None-Match got no clear answer ({unclear}): try again")
    if isinstance(answers[1], Created):
        raise no_conditional_create(blobs, "it accepted a second creation of one key")


def no_conditional_create(blobs: object, found: str) -> Misconfigured:
    """Return the error for a store in which nothing can be sealed."""
    where = blobs.where if isinstance(blobs, ProbedCapabilities) else "the object store"
    return Misconfigured(
        f"{where} does not honour If-None-Match ({found}), so two attempts could both seal one Result, and "
        "nothing is sealed; use a store with conditional writes (see `resultstore doctor`)"
    )
