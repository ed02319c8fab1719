"""`parse_range`: the bytes of a blob that a Range header requests (RFC 9110 section 14)."""

import re

import msgspec

_SINGLE = re.compile(r"bytes[ \t]*=[ \t]*(\d{0,18})-(\d{0,18})[ \t]*\Z", re.IGNORECASE)


class Whole(msgspec.Struct, frozen=True):
    """The whole blob: no Range header, or one that a server may ignore (several ranges, another unit)."""


class ByteRange(msgspec.Struct, frozen=True):
    """Bytes `start` to `start + size_bytes - 1`; never empty."""

    start: int
    size_bytes: int


class Unsatisfiable(msgspec.Struct, frozen=True):
    """The range lies outside the blob: 416."""


def parse_range(header: str | None, *, size_bytes: int) -> Whole | ByteRange | Unsatisfiable:
    """Return the range that `header` requests; a malformed header is ignored, as the RFC allows."""
    match = _SINGLE.match(header.strip()) if header else None
    if match is None or match.groups() == ("", ""):
        return Whole()
    first, last = match.groups()
    if first == "":  # the last N bytes
        size = min(int(last), size_bytes)
        return ByteRange(size_bytes - size, size) if size else Unsatisfiable()
    start = int(first)
    end = min(int(last), size_bytes - 1) if last else size_bytes - 1
    if last and int(last) < start:
        return Whole()  # syntactically invalid
    return ByteRange(start, end - start + 1) if start < size_bytes else Unsatisfiable()


def matches_etag(header: str, *, etag: str) -> bool:
    """Return True if an If-Match or If-Range value contains this ETag (strong comparison; `etag` is unquoted)."""
    tags = [one.strip() for one in header.split(",")]
    return "*" in tags or f'"{etag}"' in tags or etag in tags  # boto3 and others send tags without quotes
