"""Paths: `<id>/<name>` with one escape rule, percent-encoding of UTF-8 (RFC 3986)."""

from typing import Final
from urllib.parse import quote, unquote

from resultstore.model.errors import ResultMissing

PROTOCOL: Final = "resultstore"
_PREFIX: Final = f"{PROTOCOL}://"


def path_of(result_id: str, name: str = "") -> str:
    """Return the path of a Result, or of one of its Artifacts.

    Id and name are percent-encoded: every byte but `A-Z a-z 0-9 - . _ ~`. An id of dots alone has them encoded too,
    because `.` and `..` have a meaning in paths.
    """
    return f"{_escaped(result_id)}/{_escaped(name)}" if name else _escaped(result_id)


def strip_protocol(path: str) -> str:
    """Return a path without protocol and without slashes at its ends."""
    return path.removeprefix(_PREFIX).removeprefix(f"{PROTOCOL}::").strip("/")


def split_path(path: str) -> tuple[str, str]:
    """Return the id and the name that a path names; "" for what it leaves out.

    Raises ResultMissing for a path of more than two segments.
    """
    segments = strip_protocol(path).split("/")
    if len(segments) > 2:  # noqa: PLR2004 - an id and a name
        raise ResultMissing(f"{path[:200]!r} has more than an id and a name: write a slash in an id as %2F")
    result_id, name = (*segments, "")[:2]
    return unquote(result_id, errors="strict"), unquote(name, errors="strict")


def _escaped(text: str) -> str:
    return quote(text, safe="") if text.strip(".") else text.replace(".", "%2E")
