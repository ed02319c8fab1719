"""Serializers: plain values to bytes and back, in the formats of Celery's serializers; never pickle."""

from collections.abc import Container, Iterator
from itertools import chain
from typing import Final, cast

from kombu.exceptions import EncodeError
from kombu.serialization import dumps, loads, registry

from resultstore.backends.celery.codec.json_writer import decode_text, json_pieces
from resultstore.backends.celery.codec.kombu_types import read_references, write_references
from resultstore.blobs.blobstore import Chunk
from resultstore.model.errors import BadReference
from resultstore.model.spill import Spill

JSON: Final = "application/json"
PICKLED: Final = "application/x-python-serialize"
NO_PICKLE: Final = (
    "result_serializer pickle is refused: a client that can write into Redis or the bucket could run code where a "
    "result is read; use json (the default), yaml or msgpack"
)
# What may be read back. Not pickle: a client that can write into the bucket could run code where a value is read.
READABLE: Final = frozenset({JSON, "application/x-yaml", "application/x-msgpack"})
_TEXTS: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_CHAR_MAX_BYTES: Final = 12  # JSON writes a character beyond the first plane as two escapes of six
_NUMBER_MAX_BYTES: Final = 32
_AROUND_BYTES: Final = 64  # quotes, separators, the marker of bytes
_REFERENCE_BYTES: Final = 1_024
_SHORT: Final = frozenset({bool, float})
_SIGHT_CHARS: Final = 64
_SIGHT_INTEGER: Final = 2**64
_SIGHT_BYTES: Final = _SIGHT_CHARS * _CHAR_MAX_BYTES + _AROUND_BYTES


def serialize(value: object, serializer: str) -> tuple[bytes, str]:
    """Return `value` in `serializer` (kombu's name), and its content type. Raises kombu.exceptions.EncodeError."""
    media_type, _, payload = dumps(  # type: ignore[no-untyped-call]  # kombu has types in part
        value if serializer in {"json", JSON} else write_references(value), serializer
    )
    return payload.encode() if isinstance(payload, str) else bytes(payload), str(media_type)


def media_type_of(serializer: str) -> str:
    """Return the content type that `serializer` writes."""
    return serialize(None, serializer)[1]


def deserialize(payload: Chunk, media_type: str, *, readable: Container[str] = READABLE) -> object:
    """Return the value of `payload`. Raises BadReference for a content type that may not be read."""
    if media_type not in readable:
        raise BadReference(
            f"a value of type {media_type} is not read: use json, yaml or msgpack as serializer, or register your own "
            "and name it in accept_content"
        )
    if media_type == JSON and (text := decode_text(payload)) is not None:
        return text
    if media_type not in READABLE:
        return read_references(_read_by_registered(payload, media_type))
    value = loads(bytes(payload), media_type, "utf-8", accept=READABLE)  # type: ignore[no-untyped-call]  # the same
    return value if media_type == JSON else read_references(value)


def _read_by_registered(payload: Chunk, media_type: str) -> object:
    """Decode `payload` with a serializer that the user has registered; it gets text if it writes text, as with AMQP."""
    encoding = str(registry._encoders[registry.type_to_name[media_type]][1]).lower()  # noqa: SLF001 - no public way
    content: str | bytes = str(payload, encoding) if encoding in _TEXTS else bytes(payload)
    return loads(content, media_type, encoding, accept={media_type})  # type: ignore[no-untyped-call]  # the same


def surely_small(value: object, limit_bytes: int) -> bool:
    """Return True for the small types that any serializer writes within the limit, as most values are."""
    if limit_bytes < _SIGHT_BYTES:
        return False
    kind = type(value)
    if kind is str:
        return len(cast("str", value)) <= _SIGHT_CHARS
    return value is None or kind in _SHORT or (kind is int and abs(cast("int", value)) < _SIGHT_INTEGER)


def serialize_if_larger(value: object, limit_bytes: int, serializer: str) -> tuple[Iterator[Chunk], str] | None:
    """Return `value` as `serializer` writes it, piece by piece, and its content type, if it is over `limit_bytes`.

    Return None for all others, most of them without writing them, and for values that cannot be written at all: Celery
    reports these to the sender. If an item after the limit cannot be written, the pieces raise
    kombu.exceptions.EncodeError.
    """
    if serializer != "yaml" and _surely_fits(value, limit_bytes):
        return None
    media_type, pieces = _in_pieces(value, serializer)
    head: list[Chunk] = []
    left = limit_bytes
    try:
        while left >= 0:
            head.append(next(pieces))
            left -= len(head[-1])
    except (EncodeError, StopIteration):
        return None
    return chain(_drain(head), pieces), media_type


def _in_pieces(value: object, serializer: str) -> tuple[str, Iterator[Chunk]]:
    if serializer in {"json", JSON}:
        return JSON, json_pieces(value)
    try:
        payload, media_type = serialize(value, serializer)
    except EncodeError:
        return serializer, iter(())
    return media_type, iter((payload,))


def _drain(head: list[Chunk]) -> Iterator[Chunk]:
    """Yield each piece and forget it: what was stored must not stay in memory."""
    head.reverse()
    while head:
        yield head.pop()


def _surely_fits(value: object, limit_bytes: int) -> bool:
    """Return whether an upper bound of its size is within the limit, without writing it."""
    left, ahead = limit_bytes, [value]
    while ahead:
        one = ahead.pop()
        own_bytes = _own_bytes(one)
        if own_bytes is None or own_bytes > left:
            return False
        left -= own_bytes
        if isinstance(one, dict):
            ahead += one.keys()
            ahead += one.values()
        elif isinstance(one, list | tuple):
            ahead += one
    return True


def _own_bytes(one: object) -> int | None:
    """Return an upper bound of the size of `one` without its items; None if there is none."""
    if one is None or isinstance(one, bool | float):
        return _NUMBER_MAX_BYTES
    if isinstance(one, int):
        return _NUMBER_MAX_BYTES + one.bit_length() // 3
    if isinstance(one, str | bytes):
        return _CHAR_MAX_BYTES * len(one) + _AROUND_BYTES
    # Exactly these types: a subclass may be written in another way.
    if type(one) in {dict, list, tuple}:
        return _AROUND_BYTES + 2 * len(cast("list[object]", one))
    return _REFERENCE_BYTES if isinstance(one, Spill) else None
