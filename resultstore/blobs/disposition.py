"""Disposition: the Content-Disposition header that names a download."""

import unicodedata
from urllib.parse import quote

from resultstore.model.names import is_harmful

MAX_NAME_CHARS = 150
_NAMELESS = "download"
_SEPARATORS = frozenset('/\\:"*?<>|')  # in paths and header values, and what Windows refuses in a name
# attr-char of RFC 8187 section 3.2.1, besides letters and digits.
_ATTR_CHARS = "!#$&+-.^_`|~"


# What a browser shows without running code in it. HTML and SVG run scripts, a PDF is an application.
_INLINE_TYPES = frozenset(
    {"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "video/mp4", "video/webm"}
)


_PDF = "application/pdf"


def may_be_inline(media_type: str, *, pdf: bool = False) -> bool:
    """Return True if a browser may show content of this type inline; anything else is saved as a file.

    `pdf` allows PDF too: browsers open it in a viewer of their own, which runs its scripts without access to the site.
    """
    plain = media_type.partition(";")[0].strip().lower()
    return plain in _INLINE_TYPES or plain.startswith("audio/") or (pdf and plain == _PDF)


def content_disposition(file_name: str, *, media_type: str, inline: bool) -> str:
    """Return the header's value (RFC 6266): ASCII only, safe in a header and in a signed query.

    `inline` has an effect only for the media types that `may_be_inline`, and PDF, which the caller may have allowed.
    Names that are not plain ASCII get both an ASCII `filename` and the exact `filename*` (RFC 8187).
    Control characters, quotes and path separators become `_`; a name without any other character becomes `download`.
    """
    name = safe_file_name(file_name)
    plain = _ascii(name)
    exact = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe=_ATTR_CHARS)}"
    return f'{"inline" if inline and may_be_inline(media_type, pdf=True) else "attachment"}; filename="{plain}"{exact}'


def safe_file_name(file_name: str) -> str:
    """Return `file_name` as one path segment, safe in file systems and headers, of at most 150 characters."""
    name = "".join("_" if _unsafe(char) else char for char in unicodedata.normalize("NFC", file_name))
    name = name.strip(". ")
    return _shortened(name) if name.strip("_. ") else _NAMELESS


def _unsafe(char: str) -> bool:
    return char in _SEPARATORS or is_harmful(char)


def _shortened(name: str) -> str:
    """Cut the stem, never a short extension, so that a download still opens with the right program."""
    if len(name) <= MAX_NAME_CHARS:
        return name
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension) > MAX_NAME_CHARS // 10:
        return name[:MAX_NAME_CHARS]
    return stem[: MAX_NAME_CHARS - len(extension) - 1] + dot + extension


def _ascii(name: str) -> str:
    """Replace accented letters by plain ones, the rest by `_`; also `%`, which some browsers decode (RFC 6266 D)."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return "".join(c if " " <= c <= "~" and c not in '%"\\' else "_" for c in bare)
