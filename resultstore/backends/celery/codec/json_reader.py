"""Texts: a long JSON text, read a piece at a time, so that memory holds it once."""

import json
from collections.abc import Container, Iterable, Iterator
from itertools import chain
from typing import Final

import msgspec

from resultstore.backends.celery.codec.serializers import JSON, READABLE, read
from resultstore.blobs.blobstore import Chunk
from resultstore.blobs.stream import whole

_QUOTE: Final = b'"'
_BACKSLASH: Final = ord("\\")
_ESCAPE_BYTES: Final = 12  # the longest: a pair of surrogates, \ud83d\ude00
_TAIL_BYTES: Final = 4_096  # how far back a place to cut is looked for


def read_pieces(pieces: Iterable[Chunk], media_type: str, *, readable: Container[str] = READABLE) -> object:
    """What `read` makes of the whole. A JSON text by itself is never held as bytes."""
    ahead = iter(pieces)
    first, second = bytes(next(ahead, b"")), next(ahead, None)
    if second is None:
        return read(first, media_type, readable=readable)
    following = chain([second], ahead)
    if media_type == JSON and first[:1] == _QUOTE:
        return _text(first, following)
    return read(whole(chain([first], following)), media_type, readable=readable)


def _text(first: bytes, following: Iterator[Chunk]) -> str:
    """The text whose JSON begins with `first`, a quote before all else."""
    plain = _is_plain(first, since=1)
    text, left = (str(memoryview(first)[1:], "ascii"), b"") if plain else ("", first[1:])
    for piece in following:
        if not left and _is_plain(piece):
            text += str(piece, "ascii")
            continue
        left = b"".join((left, piece))
        end = _end(left)
        # Grown in place, as its only holder may (CPython): a list of parts and then their sum would take it twice.
        text += _decoded(memoryview(left)[:end])
        left = left[end:]
    if left[-1:] != _QUOTE:
        raise ValueError("a JSON text ends without its quote")
    text += _decoded(memoryview(left)[:-1])
    return text


def _is_plain(piece: Chunk, *, since: int = 0) -> bool:
    """Whether the letters of `piece`, from `since` on, stand for themselves: all else takes copies.

    A bare control character, which no JSON has, passes: to look for one would cost more than the copies. Damage is
    told by the digest of the value.
    """
    return isinstance(piece, bytes) and piece.isascii() and b"\\" not in piece and piece.find(_QUOTE, since) < 0


def _decoded(inside: memoryview) -> str:
    quoted = b"".join((_QUOTE, inside, _QUOTE))
    try:
        return msgspec.json.decode(quoted, type=str)
    except msgspec.DecodeError:  # half a surrogate pair, or no JSON at all
        told: str = json.loads(quoted)
        return told


def _end(left: bytes) -> int:
    """Up to where `left` may be read by itself: behind that no character, escape or pair of these has begun before."""
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
    """How many stand before `at` without a gap; an odd number where that would take long to say."""
    before = left[max(0, at - _TAIL_BYTES) : at]
    count = len(before) - len(before.rstrip(b"\\"))
    return count if count < _TAIL_BYTES else 1
