"""Output and capture: replaces the large outputs in a task's return value with their Artifacts."""

import io
from collections.abc import Mapping
from pathlib import Path
from types import GeneratorType
from typing import BinaryIO, cast

import msgspec

from resultstore.blobs.stream import Source
from resultstore.capture.adapters import NO_ADAPTERS, Adapter, Adapters, choose_suffix, media_type_for
from resultstore.model.artifact import Artifact, Scalar
from resultstore.model.errors import WrongType
from resultstore.store import Store
from resultstore.store.attempt import current
from resultstore.store.numpy_scalars import plain_scalar

_PLAIN = frozenset({bool, float, int, str, type(None)})  # most return values: recognized by one look-up


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """A large output that a task returns: its bytes, its name and how it is kept.

    Args:
        data: bytes, a Path, an open binary file, an iterable of bytes, or an object for which the app has an Adapter;
            streamed after the task has returned.
        name, file_name, media_type, metadata, retention, compress: as in `Store.put`.
    """

    data: object
    name: str | None = None
    file_name: str | None = None
    media_type: str | None = None
    metadata: Mapping[str, Scalar] | None = None
    retention: str | None = None
    compress: bool = False


def capture(store: Store, returned: object, *, adapters: Adapters = NO_ADAPTERS) -> object:
    """Store every large output in `returned` as a part of the running attempt, and return its Artifact instead.

    An `Output`, a generator of bytes, an open binary file, a `Path` and what one of the `adapters` writes are large
    outputs, also inside lists, tuples and dicts. A scalar of numpy becomes the value that it holds. Everything else,
    including an Artifact, is returned as it is.

    Raises what `Store.put` raises, and what a generator or an adapter raises.
    """
    if type(returned) in _PLAIN:
        return returned
    if isinstance(returned, Output):
        adapter = adapters.find(returned.data)
        return _put_output(store, returned) if adapter is None else _write_output(store, returned, adapter)
    if isinstance(returned, GeneratorType | Path):
        return store.put(returned)
    if isinstance(returned, io.IOBase):
        return _captured_file(store, returned)
    adapter = adapters.find(returned)
    if adapter is not None:
        return _write_output(store, Output(data=returned), adapter)
    return _captured_items(store, returned, adapters)


def holds_output(returned: object, *, adapters: Adapters = NO_ADAPTERS) -> bool:
    """Return whether `capture` would store anything of `returned`."""
    if type(returned) in _PLAIN:
        return False
    if isinstance(returned, Output | GeneratorType | Path | io.IOBase):
        return True
    if type(returned) is dict:
        return any(holds_output(one, adapters=adapters) for one in returned.values())
    if type(returned) in {list, tuple}:
        return any(holds_output(one, adapters=adapters) for one in cast("list[object]", returned))
    return adapters.find(returned) is not None


def _put_output(store: Store, output: Output) -> Artifact:
    return store.put(
        cast("Source", output.data),  # anything else is refused there
        name=output.name,
        file_name=output.file_name,
        media_type=output.media_type,
        metadata=output.metadata,
        retention=output.retention,
        compress=output.compress,
    )


def _write_output(store: Store, output: Output, adapter: Adapter) -> Artifact:
    """Store what `adapter` writes of the output's object, in the format of its name or media type."""
    given = [name for name in (output.file_name, output.name) if name]
    suffix = choose_suffix(adapter, output.data, file_names=given, media_type=output.media_type or "")
    with store.writer(
        name=output.name if given else _free_name(adapter.stem + suffix),
        file_name=output.file_name,
        media_type=output.media_type or media_type_for(suffix),
        metadata=output.metadata,
        retention=output.retention,
        compress=output.compress,
        seekable=suffix in adapter.seekable,
    ) as file:
        adapter.write(output.data, cast("BinaryIO", file), suffix=suffix)
    return file.artifact


def _free_name(name: str) -> str:
    attempt = current()
    return name if attempt is None else attempt.free_name(name)


def _captured_items(store: Store, returned: object, adapters: Adapters) -> object:
    # Exactly these types: a subclass (a named tuple, a defaultdict) may need other arguments to be made.
    if type(returned) is dict:
        return {
            key if type(key) in _PLAIN else plain_scalar(key): value
            if type(value) in _PLAIN
            else capture(store, value, adapters=adapters)
            for key, value in returned.items()
        }
    if type(returned) is list:
        return [value if type(value) in _PLAIN else capture(store, value, adapters=adapters) for value in returned]
    if type(returned) is tuple:
        return tuple(value if type(value) in _PLAIN else capture(store, value, adapters=adapters) for value in returned)
    return plain_scalar(returned)


def _captured_file(store: Store, file: io.IOBase) -> object:
    if isinstance(file, io.TextIOBase):
        raise WrongType("a task returned a text file: open it in binary mode, or return its path")
    with file:
        return store.put(file)
