"""ArtifactWriter: stores data as one Artifact of an attempt."""

import mimetypes
import re
from collections.abc import Mapping
from pathlib import PurePosixPath

import msgspec

from resultstore.blobs import zstd_frames
from resultstore.blobs.blobstore import BlobStore
from resultstore.blobs.stream import Meter, OpenedSource, Source, open_source
from resultstore.model import layout
from resultstore.model.artifact import Artifact, Scalar
from resultstore.model.errors import BadReference, BlobStoreUnavailable, WrongType
from resultstore.model.names import NAME_MAX_CHARS, artifact_name_of
from resultstore.model.result import Result
from resultstore.store.attempt import Attempt
from resultstore.store.metadata import checked_metadata
from resultstore.store.signatures import Signatures

DEFAULT_NAME = "output"
DEFAULT_MEDIA_TYPE = "application/octet-stream"

# Types that Python's table lacks (IANA media types; safetensors and skops as their projects define them).
MEDIA_TYPES: Mapping[str, str] = {
    ".avif": "image/avif",
    ".onnx": "application/onnx",
    ".parquet": "application/vnd.apache.parquet",
    ".safetensors": "application/vnd.safetensors",
    ".skops": "application/vnd.skops",
    ".webp": "image/webp",
}

# Type and subtype are restricted names (RFC 6838 section 4.2); of parameters only printable ASCII is required.
_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_MEDIA_TYPE = re.compile(rf"{_NAME}/{_NAME}(;[ -~]{{0,200}})?\Z")


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """The name and the options of a new Artifact; an empty name or media type is derived from the source."""

    name: str
    media_type: str
    metadata: Mapping[str, Scalar]
    retention: str
    compress: bool


class ArtifactWriter:
    """Streams sources into `blobs`, and computes sizes and digests while streaming."""

    def __init__(self, blobs: BlobStore, signatures: Signatures) -> None:
        self._blobs = blobs
        self._signatures = signatures

    def write(self, attempt: Attempt, source: Source, label: Label, *, size_hint_bytes: int | None = None) -> Artifact:
        """Store all of `source` as an Artifact of `attempt`, or nothing. Errors are those of `Store.put`."""
        # Check before any byte is sent; metadata may change during the upload and is checked again.
        checked_media_type(label.media_type or DEFAULT_MEDIA_TYPE, id=attempt.id)
        checked_metadata(label.metadata, id=attempt.id)
        with open_source(source) as ready:
            attempt.byte_budget.check(ready.size_hint_bytes or 0)
            # An unusable file name must not fail a task whose work is done.
            name = label.name or artifact_name_of(ready.file_name) or DEFAULT_NAME
            attempt.reserve(name)
            try:
                return self._store(attempt, name, ready, label=label, size_hint_bytes=size_hint_bytes)
            except BaseException:
                attempt.release(name)
                raise

    def _store(
        self, attempt: Attempt, name: str, ready: OpenedSource, *, label: Label, size_hint_bytes: int | None
    ) -> Artifact:
        key = attempt.new_key(label.retention)
        file_name = shown_name(label.name, artifact_name_of(ready.file_name)) or name
        media_type = label.media_type or media_type_of(file_name, ready.file_name)
        content = Meter(ready.chunks, with_table=not label.compress)
        allowed = attempt.byte_budget.limit(content)
        packed = Meter(zstd_frames.compress(allowed)) if label.compress else None
        written = content if packed is None else packed
        stored = self._blobs.put(
            key, packed or allowed, media_type=media_type, size_hint_bytes=_hint_of(size_hint_bytes, ready)
        )
        if stored.size_bytes != written.size_bytes:
            raise BlobStoreUnavailable(
                f"the store has {stored.size_bytes} of {written.size_bytes} bytes of {name} of {attempt.id}: "
                "it loses bytes, run `resultstore doctor`"
            )
        artifact = Artifact(
            id=attempt.id,
            name=name,
            file_name=file_name,
            key=key,
            etag=stored.etag,
            size_bytes=content.size_bytes,
            media_type=media_type,
            sha256=content.sha256,
            stored_bytes=stored.size_bytes,
            encoding="zstd" if label.compress else "",
            retention=label.retention,
            expires_at=layout.expiry(label.retention, start=attempt.started_by(self._blobs.now())),
            metadata=checked_metadata(label.metadata, id=attempt.id),
            owner=attempt.owner,
        )
        signed = self._signatures.sign(artifact)
        attempt.add(signed, written.table)
        return signed


def _hint_of(given: int | None, ready: OpenedSource) -> int | None:
    return ready.size_hint_bytes if given is None else given


def shown_name(given: str, file_name: str) -> str:
    """Return the file name of a download: the caller's name, with the extension of the file if it has none.

    The file may be a temporary one, of whose name only the extension is useful.
    """
    if not given:
        return file_name
    ending = PurePosixPath(file_name).suffix
    is_complete = bool(PurePosixPath(given).suffix) or len(given + ending) > NAME_MAX_CHARS
    return given if is_complete else given + ending


def checked_media_type(media_type: str, *, id: str) -> str:
    """Return `media_type`. Raises WrongType if it is not safe in an HTTP header, where a newline starts a new one."""
    if not _MEDIA_TYPE.match(media_type):
        raise WrongType(f"{media_type[:40]!r} is not a media type (artifact of {id}): write type/subtype (RFC 6838)")
    return media_type


def media_type_of(*file_names: str) -> str:
    """Return the media type of the first file name with a known extension, or `application/octet-stream`."""
    for file_name in file_names:
        ending = PurePosixPath(file_name.lower()).suffix
        found = MEDIA_TYPES.get(ending) or mimetypes.guess_type("name" + ending)[0]
        if found:
            return found
    return DEFAULT_MEDIA_TYPE


def earlier_artifact(sealed: Result, made: Artifact) -> Artifact:
    """Return the Artifact that an earlier put stored under this id. Raises BadReference if its content differs."""
    earlier = sealed.artifact(made.name)
    if earlier is None or earlier.sha256 != made.sha256:
        raise BadReference(f"result {made.id} is already sealed with other content: store this under another id")
    return earlier
