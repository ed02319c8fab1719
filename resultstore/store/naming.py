"""Naming: the one rule for an Artifact's name, the file name of its download, and its media type."""

import mimetypes
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

import msgspec

from resultstore.model.names import NAME_MAX_CHARS, artifact_name_of

DEFAULT_NAME: Final = "output"
DEFAULT_MEDIA_TYPE: Final = "application/octet-stream"
HEAD_BYTES: Final = 16  # what `content_type` looks at
_EXTENSION_MAX_CHARS: Final = 32  # a longer one is a part of the name

# Types that Python's table lacks (IANA media types; safetensors, skops and NumPy as their projects define them).
MEDIA_TYPES: Mapping[str, str] = {
    ".avif": "image/avif",
    ".npy": "application/x-npy",
    ".npz": "application/x-npz",
    ".onnx": "application/onnx",
    ".parquet": "application/vnd.apache.parquet",
    ".safetensors": "application/vnd.safetensors",
    ".skops": "application/vnd.skops",
    ".webp": "image/webp",
}
# Where Python's table has none, another one by version, or one of a special use.
_ENDINGS: Final = {media_type: ending for ending, media_type in MEDIA_TYPES.items()} | {
    "application/gzip": ".gz",
    "application/xml": ".xml",
    "text/markdown": ".md",
}
# Without the files of the operating system: the same type gets the same extension on every machine.
_KNOWN: Final = mimetypes.MimeTypes()

# The first bytes of formats that no other content begins with, by their specifications.
_SIGNATURES: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"%PDF-", "application/pdf"),
    (b"PAR1", "application/vnd.apache.parquet"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"\x93NUMPY", "application/x-npy"),
    (b"\x89HDF\r\n\x1a\n", "application/x-hdf5"),
)
_RIFF_TYPES: Final = {b"WEBP": "image/webp", b"WAVE": "audio/x-wav"}


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """The name of an Artifact, the file name of its download, and its media type."""

    name: str
    file_name: str
    media_type: str


class GivenNames(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller said about an output; "" for what was not said.

    Args:
        name: the Artifact's name.
        file_name: the file name of a download; what no file name can hold is replaced by `_`.
        media_type: the media type.
    """

    name: str = ""
    file_name: str = ""
    media_type: str = ""

    def base_name(self, source_name: str) -> str:
        """Return the Artifact's name; without a `name`, it is made from a file name, and numbered if it is taken.

        `source_name` is the file name of the source, which may be a temporary one; "" for none.
        """
        # An unusable file name must not fail a task whose work is done.
        return self.name or artifact_name_of(self.file_name) or artifact_name_of(source_name) or DEFAULT_NAME

    def names(self, name: str, source_name: str, *, head: bytes = b"") -> Names:
        """Return all names of the Artifact called `name`: what the caller said comes first (docs/how-to/names.md).

        * File name: the given `file_name`; else the name if it has an extension; else the name with the extension of
          the source's file name, or of the media type.
        * Media type: the given one; else by the extension of the file name, the name, or the source's file name, in
          this order; else by `head`, the first bytes of the content.
        """
        own = artifact_name_of(self.file_name)
        source = artifact_name_of(source_name)
        media_type = self.media_type or media_type_of(own, name, source) or content_type(head) or DEFAULT_MEDIA_TYPE
        ending = PurePosixPath(source).suffix or _ending_of(media_type)
        return Names(name=name, file_name=own or _with_ending(name, ending), media_type=media_type)

    def needs_head(self, source_name: str) -> bool:
        """Return whether only the content shows the media type."""
        return not (self.media_type or media_type_of(self.file_name, self.name, source_name))


def media_type_of(*file_names: str) -> str:
    """Return the media type of the first file name with a known extension, or ""."""
    for file_name in file_names:
        ending = PurePosixPath(file_name.lower()).suffix
        found = MEDIA_TYPES.get(ending) or mimetypes.guess_type("name" + ending)[0]
        if found:
            return found
    return ""


def content_type(head: bytes) -> str:
    """Return the media type of content that begins with `head` (16 bytes), or "" if its first bytes do not say."""
    if head[:4] == b"RIFF":
        return _RIFF_TYPES.get(head[8:12], "")
    return next((media_type for signature, media_type in _SIGNATURES if head.startswith(signature)), "")


def numbered(name: str, number: int) -> str:
    """Return `name` with a number before its extension, such as `part-2.csv`, of at most 255 characters."""
    path = PurePosixPath(name)
    is_extension = len(path.suffix) <= _EXTENSION_MAX_CHARS
    stem, ending = (path.stem, path.suffix) if is_extension else (name, "")
    ending = f"-{number}{ending}"
    return stem[: NAME_MAX_CHARS - len(ending)] + ending


def _with_ending(name: str, ending: str) -> str:
    is_complete = bool(PurePosixPath(name).suffix) or len(name + ending) > NAME_MAX_CHARS
    return name if is_complete else name + ending


def _ending_of(media_type: str) -> str:
    plain = media_type.partition(";")[0].strip().lower()
    if plain == DEFAULT_MEDIA_TYPE:
        return ""
    return _ENDINGS.get(plain) or _KNOWN.guess_extension(plain) or ""
