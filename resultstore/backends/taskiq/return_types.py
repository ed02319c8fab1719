"""Return types: which return annotations are captured, so that the caller gets Artifacts in their place."""

import io
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterable, Iterator
from pathlib import PurePath
from typing import IO, BinaryIO, Final, get_args, get_origin

from resultstore.capture.outputs import Output

_STREAMS: Final = {Iterable, Iterator, Generator, AsyncIterable, AsyncIterator, AsyncGenerator, IO, BinaryIO}


def is_captured(annotation: object) -> bool:
    """Return whether the caller of a task with this return annotation gets something else: an Artifact.

    taskiq converts a result to its annotation; for these it would warn, or fail.
    """
    if annotation in _STREAMS or get_origin(annotation) in _STREAMS:
        return True
    if isinstance(annotation, type) and issubclass(annotation, Output | PurePath | io.IOBase):
        return True
    return any(map(is_captured, get_args(annotation)))
