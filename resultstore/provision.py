"""Provision: makes the place for blobs: bucket, lifecycle rules, layout marker. Safe to run again."""

from collections.abc import Mapping
from functools import partial

import msgspec

from resultstore.blobs.blobstore import Created
from resultstore.connect import connect, connect_bucket
from resultstore.forgeable import refuse_forgeable
from resultstore.model import layout
from resultstore.model.errors import BlobMissing, Misconfigured
from resultstore.retention import merged
from resultstore.settings import Settings
from resultstore.store.sealing import SealStore


class Marker(msgspec.Struct, frozen=True):
    """The document under `layout.LAYOUT_KEY`: which format the store holds (docs/format.md)."""

    format: int


def provision(settings: Settings) -> dict[str, str]:
    """Do every step that `settings` ask for; gives what was done, step by step.

    A crash between two steps leaves what the next run finds and completes.
    Raises Misconfigured when there is no object store, when it holds another format, or when it carries out writes
    that nobody signed.
    """
    blobs = connect(settings).blobs
    if blobs is None:
        raise Misconfigured(
            "there is nothing to set up: set RESULTSTORE_BLOBS_URL to s3://bucket/prefix or file:///folder"
        )
    done: dict[str, str] = {}
    bucket = connect_bucket(settings)
    if bucket is not None:
        done["bucket"] = "made" if bucket.ensure() else "stands already"
        refuse_forgeable(settings)
        written = bucket.update_lifecycle(partial(merged, root=bucket.target.prefix))
        done["lifecycle"] = "our rules written" if written else "our rules stand already"
    return done | {"layout": _marked(blobs)}


def preview(settings: Settings) -> dict[str, str]:
    """What `provision` would do, step by step; changes nothing. Raises what `provision` raises."""
    blobs, bucket = connect(settings).blobs, connect_bucket(settings)
    if blobs is None or bucket is None:
        raise Misconfigured(
            "only a bucket can be looked at beforehand: set RESULTSTORE_BLOBS_URL to s3://bucket/prefix"
        )
    if not bucket.exists():
        return {"bucket": "would be made", "lifecycle": "our rules would be written", "layout": "would be marked"}
    standing = bucket.lifecycle()
    rules = "our rules stand already"
    if sorted(map(_words, merged(standing, root=bucket.target.prefix))) != sorted(map(_words, standing)):
        rules = "our rules would be written"
    try:
        marked = f"format {read_marker(blobs).format} stands already"
    except BlobMissing:
        marked = "would be marked"
    return {"bucket": "stands already", "lifecycle": rules, "layout": marked}


def read_marker(blobs: SealStore) -> Marker:
    """The marker that stands. Raises BlobMissing, and Misconfigured when it is not one of ours."""
    document = b"".join(blobs.get(layout.LAYOUT_KEY))
    try:
        return msgspec.json.decode(document, type=Marker)
    except msgspec.DecodeError as error:
        raise Misconfigured(f"{layout.LAYOUT_KEY} is not a layout marker: is this prefix another program's?") from error


def _marked(blobs: SealStore) -> str:
    ours = Marker(format=layout.OBJECT_FORMAT)
    outcome = blobs.create(layout.LAYOUT_KEY, msgspec.json.encode(ours), tags={})
    if isinstance(outcome, Created):
        return f"format {ours.format} marked"
    standing = read_marker(blobs)  # taken, or not known: what stands there tells
    if standing.format != ours.format:
        raise Misconfigured(
            f"the store holds format {standing.format}, this version writes {ours.format}: use another prefix"
        )
    return f"format {ours.format} stands already"


def _words(rule: Mapping[str, object]) -> str:
    return repr(sorted(rule.items()))
