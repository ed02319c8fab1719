"""Disposition: the Content-Disposition header that names a download."""

import unicodedata
from urllib.parse import quote

from resultstore.model.names import is_harmful

MAX_NAME_CHARS = 150
_NAMELESS = "download"
_SEPARATORS = frozenset('/\\:"*?<>|')  # of paths, of header values, and what Windows refuses in a name
# attr-char of RFC 8187 section 3.2.1, beside letters and digits.
_ATTR_CHARS = "!#$&+-.^_`|~"


# What a browser shows without running any of it. HTML and SVG run scripts, a PDF is an application of its own.
_INLINE_TYPES = frozenset(
    {"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "video/mp4", "video/webm"}
)


def may_be_inline(media_type: str) -> bool:
    """Whether a browser may show content of this type in a page's place; all else is saved as a file."""
    plain = media_type.partition(";")[0].strip().lower()
    return plain in _INLINE_TYPES or plain.startswith("audio/")


def content_disposition(file_name: str, *, media_type: str, inline: bool) -> str:
    """The header's value (RFC 6266): ASCII only, safe in a header and in a signed query.

    `inline` only for the media types that `may_be_inline`, whoever asks.
    Names that are not plain ASCII get both an ASCII `filename` and the exact `filename*` (RFC 8187).
    Control characters, quotes and path separators become `_`; a name without substance becomes `download`.
    """
    name = safe_file_name(file_name)
    plain = _ascii(name)
    exact = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe=_ATTR_CHARS)}"
    return f'{"inline" if inline and may_be_inline(media_type) else "attachment"}; filename="{plain}"{exact}'


def safe_file_name(file_name: str) -> str:
    """`file_name` as one segment that no file system or header takes for anything else, at most 150 characters."""
    name = "".join("_" if _unsafe(char) else char for char in unicodedata.normalize("NFC", file_name))
    name = name.strip(". ")
    return _shortened(name) if name.strip("_. ") else _NAMELESS


def _unsafe(char: str) -> bool:
    return char in _SEPARATORS or is_harmful(char)


def _shortened(name: str) -> str:
    """Cut the stem, never a short extension: a download must still open with the right program."""
    if len(name) <= MAX_NAME_CHARS:
        return name
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension) > MAX_NAME_CHARS // 10:
        return name[:MAX_NAME_CHARS]
    return stem[: MAX_NAME_CHARS - len(extension) - 1] + dot + extension


def _ascii(name: str) -> str:
    """Letters without their accents, `_` for the rest; no `%`, which some browsers decode (RFC 6266 appendix D)."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return "".join(c if " " <= c <= "~" and c not in '%"\\' else "_" for c in bare)
