"""Provision: makes the place for blobs: bucket, lifecycle rules, layout marker. Safe to run again."""

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
    """What one try of the store answers."""

    @property
    def ok(self) -> bool:
        """Whether the store keeps it."""

    @property
    def detail(self) -> str:
        """What was seen."""


class TagProbes(Protocol):
    """A driver that can try whether objects keep their tags."""

    def keeps_tags(self) -> TagProbe:
        """Tag an object, and ask for its tags."""


def provision(settings: Settings, *, mend: bool = False) -> dict[str, str]:
    """Do every step that `settings` ask for; gives what was done, step by step.

    What the object store keeps is found by trying, and noted in the layout marker for every process to read. A crash
    between two steps leaves what the next run finds and completes.

    Args:
        settings: where, and the secret key that signs the marker.
        mend: write the marker anew where it is damaged, or was replaced by somebody who does not have our key.

    Raises Misconfigured when there is no object store, when it holds another format, when it carries out writes that
    nobody signed, or when it has no conditional create: then nothing is written. LayoutUnreadable when its marker is
    not ours, and is not to be mended.
    """
    store, bucket = connect(settings), connect_bucket(settings)
    blobs, macs = store.blobs, store.signatures.macs
    if blobs is None:
        raise Misconfigured(
            "there is nothing to set up: set RESULTSTORE_BLOBS_URL to s3://bucket/prefix or file:///folder"
        )
    done: dict[str, str] = {}
    if bucket is not None:
        done["bucket"] = "made" if bucket.ensure() else "stands already"
        refuse_forgeable(settings)
    standing = _standing(blobs, macs, mend=mend)
    check_conditional_create(blobs)
    traits = StoreCapabilities()
    if bucket is not None:
        tags, untagged = _tags(blobs, connect_probes(settings))
        collected = write_rules(bucket, root=bucket.target.prefix, untagged=untagged)
        done["lifecycle"] = collected.text
        traits = StoreCapabilities(tags=tags, blob_rules=collected.blob_rules, seal_rules=collected.seal_rules)
    return done | {"layout": _marked(blobs, macs, traits, standing=standing)}


def preview(settings: Settings) -> dict[str, str]:
    """What `provision` would do, step by step; changes nothing. Raises what `provision` raises."""
    store, bucket = connect(settings), connect_bucket(settings)
    blobs, macs = store.blobs, store.signatures.macs
    if blobs is None or bucket is None:
        raise Misconfigured(
            "only a bucket can be looked at beforehand: set RESULTSTORE_BLOBS_URL to s3://bucket/prefix"
        )
    if not bucket.exists():
        return {"bucket": "would be made", "lifecycle": "our rules would be written", "layout": "would be marked"}
    root = bucket.target.prefix
    stand = rules_in_force(bucket, rules(root), root=root)
    try:
        marked = f"format {read_marker(blobs, macs).format} stands already"
    except BlobMissing:
        marked = "would be marked"
    return {
        "bucket": "stands already",
        "lifecycle": "our rules stand already" if stand else "our rules would be written",
        "layout": marked,
    }


def _tags(blobs: BlobStore, probes: TagProbes | None) -> tuple[bool, str]:
    """Whether objects may be given tags, and why they keep none; "" where they do."""
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


def _standing(blobs: BlobStore, macs: Macs, *, mend: bool) -> LayoutMarker | None:
    """The marker that is stored, None where there is none or none that is kept. Raises Misconfigured for another
    format, LayoutUnreadable when it is not ours.
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
            raise LayoutUnreadable(f"{error}; run `resultstore setup --mend` to write it anew") from error
        return None
    if found.format != layout.OBJECT_FORMAT:
        raise Misconfigured(
            f"the store holds format {found.format}, this version writes {layout.OBJECT_FORMAT}: use another prefix"
        )
    return found


def _marked(blobs: BlobStore, macs: Macs, traits: StoreCapabilities, *, standing: LayoutMarker | None) -> str:
    """Write the marker where it does not stand as it shall."""
    ours = LayoutMarker(format=layout.OBJECT_FORMAT, traits=traits)
    document = documents.encode(ours, macs)
    if isinstance(blobs.create(layout.LAYOUT_KEY, document, tags={}), Created):
        if isinstance(blobs.create(layout.LAYOUT_KEY, document, tags={}), Created):
            blobs.delete([layout.LAYOUT_KEY])
            raise no_conditional_create(blobs, f"it accepted a second creation of {layout.LAYOUT_KEY}")
        return f"format {ours.format} marked"
    # Taken, or not known: what stands there tells.
    if _reads_as(blobs, document):
        return f"format {ours.format} stands already"
    blobs.replace(layout.LAYOUT_KEY, document, tags={})
    if standing is None:
        return f"format {ours.format} marked anew: what stood there was not ours"
    return f"format {ours.format} stands, what the store keeps noted anew"


def _reads_as(blobs: BlobStore, document: bytes) -> bool:
    """Whether exactly this marker is stored; no more of it is read than it has bytes."""
    try:
        found = read_whole(blobs.get(layout.LAYOUT_KEY), max_bytes=len(document), error=lambda: LayoutUnreadable(""))
    except (BlobMissing, Damaged):
        return False
    return found == document
