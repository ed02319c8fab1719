"""JSON reader: reads a long JSON text piece by piece, so that memory holds it once."""

import json
from collections.abc import Container, Iterable, Iterator
from itertools import chain
from typing import Final

import msgspec

from resultstore.backends.celery.codec.serializers import JSON, READABLE, deserialize
from resultstore.blobs.blobstore import Chunk
from resultstore.blobs.stream import join

_QUOTE: Final = b'"'
_BACKSLASH: Final = ord("\\")
_ESCAPE_BYTES: Final = 12  # the longest is a surrogate pair, \ud83d\ude00
_TAIL_BYTES: Final = 4_096  # how far back to look for a position to cut at


def deserialize_pieces(pieces: Iterable[Chunk], media_type: str, *, readable: Container[str] = READABLE) -> object:
    """Return what `deserialize` returns for the joined pieces. A JSON text alone is never held as bytes."""
    ahead = iter(pieces)
    first, second = bytes(next(ahead, b"")), next(ahead, None)
    if second is None:
        return deserialize(first, media_type, readable=readable)
    following = chain([second], ahead)
    if media_type == JSON and first[:1] == _QUOTE:
        return _text(first, following)
    return deserialize(join(chain([first], following)), media_type, readable=readable)


def _text(first: bytes, following: Iterator[Chunk]) -> str:
    """Return the text whose JSON begins with `first`, which begins with a quote."""
    plain = _is_plain(first, since=1)
    text, left = (str(memoryview(first)[1:], "ascii"), b"") if plain else ("", first[1:])
    for piece in following:
        if not left and _is_plain(piece):
            text += str(piece, "ascii")
            continue
        left = b"".join((left, piece))
        end = _cut_position(left)
        # Grown in place, as its only holder may (CPython): a list of parts and then their sum would take it twice.
        text += _decode(memoryview(left)[:end])
        left = left[end:]
    if left[-1:] != _QUOTE:
        raise ValueError("a JSON text ends without its quote")
    text += _decode(memoryview(left)[:-1])
    return text


def _is_plain(piece: Chunk, *, since: int = 0) -> bool:
    """Return whether the letters of `piece`, from `since` on, need no decoding: decoding costs copies.

    A bare control character, which is not valid JSON, passes: to look for one would cost more than the copies. The
    digest of the value detects damage.
    """
    return isinstance(piece, bytes) and piece.isascii() and b"\\" not in piece and piece.find(_QUOTE, since) < 0


def _decode(inside: memoryview) -> str:
    quoted = b"".join((_QUOTE, inside, _QUOTE))
    try:
        return msgspec.json.decode(quoted, type=str)
    except msgspec.DecodeError:  # half a surrogate pair, or no JSON at all
        text: str = json.loads(quoted)
        return text


def _cut_position(left: bytes) -> int:
    """Return where `left` can be cut: no character, escape or surrogate pair spans this position."""
    for at in range(len(left) - _ESCAPE_BYTES, max(0, len(left) - _TAIL_BYTES), -1):
        before = left[max(0, at - _ESCAPE_BYTES) : at]
        if left[at] == _BACKSLASH:
            low_half = left[at + 1 : at + 2] == b"u" and left[at + 2 : at + 4].lower() in {b"dc", b"dd", b"de", b"df"}
            if not low_half and _backslashes(left, at) % 2 == 0:
                return at
        elif left[at] & 0xC0 != 0x80 and _BACKSLASH not in before:  # noqa: PLR2004 - not inside a character of UTF-8
            return at
    return 0


def _backslashes(left: bytes, at: int) -> int:
    """Return how many backslashes precede `at`; an odd number if there are too many to count."""
    before = left[max(0, at - _TAIL_BYTES) : at]
    count = len(before) - len(before.rstrip(b"\\"))
    return count if count < _TAIL_BYTES else 1
