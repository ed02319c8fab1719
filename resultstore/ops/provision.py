"""Provisioning: creates the bucket, its lifecycle rules and the layout marker. Safe to run again."""

from contextlib import suppress
from typing import Protocol

from resultstore.blobs.blobstore import BlobStore, Created
from resultstore.blobs.stream import read_whole
from resultstore.connect import connect, connect_bucket, connect_probes
from resultstore.model import layout, layout_marker as documents
from resultstore.model.errors import (
    BlobMissing,
    Damaged,
    LayoutUnreadable,
    Misconfigured,
    NotSupported,
    ResultStoreError,
)
from resultstore.model.layout_marker import LayoutMarker, StoreCapabilities
from resultstore.model.mac import Macs
from resultstore.ops.forgery_check import refuse_forgeable
from resultstore.ops.lifecycle import SEAL_TAG, rules
from resultstore.ops.lifecycle_setup import rules_in_force, write_rules
from resultstore.settings import Settings
from resultstore.store.capabilities import (
    PROBE_CLASS,
    PROBE_ID,
    check_conditional_create,
    no_conditional_create,
    read_marker,
)


class TagProbe(Protocol):
    """The outcome of one probe."""

    @property
    def ok(self) -> bool:
        """True if the store passed."""

    @property
    def detail(self) -> str:
        """What was found."""


class TagProbes(Protocol):
    """A driver that can probe whether objects keep their tags."""

    def keeps_tags(self) -> TagProbe:
        """Store an object with a tag and read its tags."""


def provision(settings: Settings, *, mend: bool = False) -> dict[str, str]:
    """Create everything that `settings` name; return what was done by step name. Idempotent.

    The store's capabilities are probed and recorded in the layout marker, which every process reads. After a crash the
    next run completes the rest.

    Args:
        settings: the location, and the secret key that signs the marker.
        mend: replace a marker that is damaged or not signed with our key.

    Raises Misconfigured if there is no object store, if it has another format, executes unsigned writes, or has no
    conditional create: then nothing is written. Raises LayoutUnreadable for such a marker without `mend`.
    """
    store, bucket = connect(settings), connect_bucket(settings)
    blobs, macs = store.blobs, store.signatures.macs
    if blobs is None:
        raise Misconfigured(
            "there is nothing to set up: set RESULTSTORE_BLOBS_URL to s3://bucket/prefix or file:///folder"
        )
    done: dict[str, str] = {}
    if bucket is not None:
        done["bucket"] = "created" if bucket.ensure() else "up to date"
        refuse_forgeable(settings)
    existing = _read_existing(blobs, macs, mend=mend)
    check_conditional_create(blobs)
    traits = StoreCapabilities()
    if bucket is not None:
        tags, untagged = _tags(blobs, connect_probes(settings))
        collected = write_rules(bucket, root=bucket.target.prefix, untagged=untagged)
        done["lifecycle"] = collected.text
        traits = StoreCapabilities(tags=tags, blob_rules=collected.blob_rules, seal_rules=collected.seal_rules)
    return done | {"layout": _write_marker(blobs, macs, traits, existing=existing)}


def preview(settings: Settings) -> dict[str, str]:
    """Return what `provision` would do by step name; changes nothing. Raises the same errors."""
    store, bucket = connect(settings), connect_bucket(settings)
    blobs, macs = store.blobs, store.signatures.macs
    if blobs is None or bucket is None:
        raise Misconfigured("--dry-run needs a bucket: set RESULTSTORE_BLOBS_URL to s3://bucket/prefix")
    if not bucket.exists():
        return {
            "bucket": "would be created",
            "lifecycle": "rules would be written",
            "layout": "marker would be written",
        }
    root = bucket.target.prefix
    in_force = rules_in_force(bucket, rules(root), root=root)
    try:
        marker = f"format {read_marker(blobs, macs).format}, up to date"
    except BlobMissing:
        marker = "marker would be written"
    return {
        "bucket": "up to date",
        "lifecycle": "rules are up to date" if in_force else "rules would be written",
        "layout": marker,
    }


def _tags(blobs: BlobStore, probes: TagProbes | None) -> tuple[bool, str]:
    """Return whether objects can be stored with tags, and why they lose them ("" if they keep them)."""
    key = layout.blob_key(PROBE_ID, retention=PROBE_CLASS, nonce=layout.new_nonce(), n=0)
    try:
        blobs.create(key, b"tagged", tags={SEAL_TAG: PROBE_CLASS})
    except NotSupported:
        return False, "the store refuses tags"
    finally:
        with suppress(ResultStoreError):
            blobs.delete([key])
    found = None if probes is None else probes.keeps_tags()
    return True, "" if found is None or found.ok else f"objects keep no tags: {found.detail}"


def _read_existing(blobs: BlobStore, macs: Macs, *, mend: bool) -> LayoutMarker | None:
    """Return the stored marker, or None if there is none or it is to be replaced.

    Raises Misconfigured for another format, LayoutUnreadable if it is damaged or not signed with our key.
    """
    try:
        found = read_marker(blobs, macs)
    except BlobMissing:
        return None
    except LayoutUnreadable:
        if not mend:
            raise
        return None
    except Damaged as error:
        if not mend:
            raise LayoutUnreadable(f"{error}; run `resultstore setup --mend` to replace it") from error
        return None
    if found.format != layout.OBJECT_FORMAT:
        raise Misconfigured(
            f"the store holds format {found.format}, this version writes {layout.OBJECT_FORMAT}: use another prefix"
        )
    return found


def _write_marker(blobs: BlobStore, macs: Macs, traits: StoreCapabilities, *, existing: LayoutMarker | None) -> str:
    """Write the marker unless it is up to date; return what was done."""
    ours = LayoutMarker(format=layout.OBJECT_FORMAT, traits=traits)
    document = documents.encode(ours, macs)
    if isinstance(blobs.create(layout.LAYOUT_KEY, document, tags={}), Created):
        if isinstance(blobs.create(layout.LAYOUT_KEY, document, tags={}), Created):
            blobs.delete([layout.LAYOUT_KEY])
            raise no_conditional_create(blobs, f"it accepted a second creation of {layout.LAYOUT_KEY}")
        return f"format {ours.format}, marker written"
    # The key exists, or the outcome is unknown: read the stored marker.
    if _reads_as(blobs, document):
        return f"format {ours.format}, up to date"
    blobs.replace(layout.LAYOUT_KEY, document, tags={})
    if existing is None:
        return f"format {ours.format}, marker replaced: it was not signed with this key"
    return f"format {ours.format}, capabilities of the store updated"


def _reads_as(blobs: BlobStore, document: bytes) -> bool:
    """Return True if exactly this marker is stored; reads no more bytes than it has."""
    try:
        found = read_whole(blobs.get(layout.LAYOUT_KEY), max_bytes=len(document), error=lambda: LayoutUnreadable(""))
    except (BlobMissing, Damaged):
        return False
    return found == document
