"""Output and capture: replaces the large outputs in a task's return value with their Artifacts."""

import io
from collections.abc import Mapping
from pathlib import Path
from types import GeneratorType

import msgspec

from resultstore.blobs.stream import Source
from resultstore.model.artifact import Scalar
from resultstore.model.errors import WrongType
from resultstore.store import Store

_PLAIN = frozenset({bool, float, int, str, type(None)})  # most return values: recognized by one look-up


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """A large output that a task returns: its bytes, its name and how it is kept.

    Args:
        data: bytes, a Path, an open binary file, or an iterable of bytes; streamed after the task has returned.
        name, file_name, media_type, metadata, retention, compress: as in `Store.put`.
    """

    data: Source
    name: str | None = None
    file_name: str | None = None
    media_type: str | None = None
    metadata: Mapping[str, Scalar] | None = None
    retention: str | None = None
    compress: bool = False


def capture(store: Store, returned: object) -> object:
    """Store every large output in `returned` as a part of the running attempt, and return its Artifact instead.

    An `Output`, a generator of bytes, an open binary file and a `Path` are large outputs, also inside lists, tuples
    and dicts. Everything else, including an Artifact, is returned as it is.

    Raises what `Store.put` raises, and what a generator raises.
    """
    if type(returned) in _PLAIN:
        return returned
    if isinstance(returned, Output):
        return store.put(
            returned.data,
            name=returned.name,
            file_name=returned.file_name,
            media_type=returned.media_type,
            metadata=returned.metadata,
            retention=returned.retention,
            compress=returned.compress,
        )
    if isinstance(returned, GeneratorType | Path):
        return store.put(returned)
    if isinstance(returned, io.IOBase):
        return _captured_file(store, returned)
    return _captured_items(store, returned)


def _captured_items(store: Store, returned: object) -> object:
    # Exactly these types: a subclass (a named tuple, a defaultdict) may need other arguments to be made.
    if type(returned) is dict:
        return {key: capture(store, value) for key, value in returned.items()}
    if type(returned) is list:
        return [capture(store, value) for value in returned]
    if type(returned) is tuple:
        return tuple(capture(store, value) for value in returned)
    return returned


def _captured_file(store: Store, file: io.IOBase) -> object:
    if isinstance(file, io.TextIOBase):
        raise WrongType("a task returned a text file: open it in binary mode, or return its path")
    with file:
        return store.put(file)
