"""JSON writer: writes a large plain value as JSON, one MiB at a time."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

import msgspec
from kombu.serialization import dumps

from resultstore.blobs.blobstore import Chunk

_PIECE_CHARS: Final = 1 << 20
_LONG_CHARS: Final = 1 << 16  # longer texts are written by msgspec
_MANY: Final = 1_000  # a list of more is written in batches
_DEEPEST: Final = 16  # nesting of long values that is written in pieces; deeper ones are written at once
_MAY_BE_LONG: Final = frozenset({str, list, tuple, dict})
_SEPARATOR: Final = b", "


def json_pieces(value: object, *, deepest: int = _DEEPEST) -> Iterator[Chunk]:
    """Yield JSON of `value` that kombu reads like its own, without ever holding all of it.

    A long text is written by msgspec, five times as fast as kombu's JSON (32 MiB in 20 ms of CPU against 100 ms).

    Raises kombu.exceptions.EncodeError.
    """
    if not _is_long(value) or not deepest:
        yield _encode(value)
    elif isinstance(value, str):
        # With its quote the first piece of plain letters is a MiB like the others, so zstd frames need no copies.
        yield _text(value[: _PIECE_CHARS - 1], until=-1)
        for start in range(_PIECE_CHARS - 1, len(value), _PIECE_CHARS):
            yield _text(value[start : start + _PIECE_CHARS], since=1, until=-1)
        yield b'"'
    elif isinstance(value, dict):
        items = list(value.items())
        yield from _batches(items, around=b"{}", write=_pairs, long=lambda one: _is_long(one[1]), deepest=deepest)
    else:
        many: Sequence[object] = value  # type: ignore[assignment]  # a list or a tuple
        yield from _batches(many, around=b"[]", write=_encode, long=_is_long, deepest=deepest)


def encode_long_text(value: object) -> bytes | None:
    """Return a long text as JSON; None for other values, and for what only kombu writes (half a surrogate pair)."""
    if not isinstance(value, str) or not _is_long(value):
        return None
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return None


def decode_text(payload: Chunk) -> str | None:
    """Return a JSON text, fast; None for other values, and for what only kombu reads (half a surrogate pair)."""
    if not isinstance(payload, Chunk) or bytes(payload[:1]) != b'"':
        return None
    try:
        return msgspec.json.decode(payload, type=str)
    except msgspec.DecodeError:
        return None


def _is_long(value: object) -> bool:
    # Exactly these types: a subclass may be written in another way.
    kind = type(value)
    if kind is str:
        return len(value) > _LONG_CHARS  # type: ignore[arg-type]
    return kind in _MAY_BE_LONG and len(value) > _MANY  # type: ignore[arg-type]


def _batches(
    items: Sequence[Any],
    *,
    around: bytes,
    write: Callable[[Any], bytes],
    long: Callable[[Any], bool],
    deepest: int,
) -> Iterator[Chunk]:
    yield around[:1]
    ahead, at, count = iter(items), 0, 1
    while batch := list(islice(ahead, count)):
        yield _SEPARATOR if at else b""
        at += len(batch)
        if any(map(long, batch)):
            yield from _one_by_one(batch, write=write, long=long, deepest=deepest)
            continue
        written = write(batch)
        yield memoryview(written)[1:-1]
        # The next batch fills about one piece, estimated from the size of this one.
        count = max(1, min(2 * count, _PIECE_CHARS * len(batch) // len(written)))
    yield around[1:]


def _one_by_one(
    batch: Sequence[Any], *, write: Callable[[Any], bytes], long: Callable[[Any], bool], deepest: int
) -> Iterator[Chunk]:
    for number, one in enumerate(batch):
        if number:
            yield _SEPARATOR
        if not long(one):
            yield memoryview(write([one]))[1:-1]
        elif write is _pairs:
            yield memoryview(write([(one[0], None)]))[1 : -1 - len(b"null")]
            yield from json_pieces(one[1], deepest=deepest - 1)
        else:
            yield from json_pieces(one, deepest=deepest - 1)


def _pairs(batch: Sequence[tuple[Any, Any]]) -> bytes:
    return _encode(dict(batch))


def _text(part: str, *, since: int = 0, until: int) -> Chunk:
    """Return the JSON of a part of a text, with or without its quotes."""
    try:
        return memoryview(msgspec.json.encode(part))[since:until]
    except UnicodeEncodeError:  # half a surrogate pair, which only kombu's JSON writes
        return memoryview(_encode(part))[since:until]


def _encode(value: object) -> bytes:
    payload: str = dumps(value, "json")[2]  # type: ignore[no-untyped-call]  # kombu has types in part
    return payload.encode()
