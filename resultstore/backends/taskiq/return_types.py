"""Return types: which return annotations are captured, so that the caller gets Artifacts in their place."""

import io
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterable, Iterator
from pathlib import PurePath
from typing import IO, BinaryIO, Final, get_args, get_origin

from resultstore.capture.adapters import NO_ADAPTERS, Adapters
from resultstore.capture.outputs import Output

_STREAMS: Final = {Iterable, Iterator, Generator, AsyncIterable, AsyncIterator, AsyncGenerator, IO, BinaryIO}


def is_captured(annotation: object, *, adapters: Adapters = NO_ADAPTERS) -> bool:
    """Return whether the caller of a task with this return annotation gets something else: an Artifact.

    taskiq converts a result to its annotation; for these it would warn, or fail.
    """
    if annotation in _STREAMS or get_origin(annotation) in _STREAMS:
        return True
    if isinstance(annotation, type) and issubclass(annotation, Output | PurePath | io.IOBase):
        return True
    if isinstance(annotation, type) and adapters.find_by_type(annotation) is not None:
        return True
    return any(is_captured(one, adapters=adapters) for one in get_args(annotation))
