"""Hints: which return annotations speak of outputs, in whose place Artifacts arrive."""

import io
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterable, Iterator
from pathlib import PurePath
from typing import IO, BinaryIO, Final, get_args, get_origin

from resultstore.capture.outputs import Output

_STREAMS: Final = {Iterable, Iterator, Generator, AsyncIterable, AsyncIterator, AsyncGenerator, IO, BinaryIO}


def is_captured(hint: object) -> bool:
    """Whether a task with this return annotation gives its caller something else: an Artifact.

    taskiq makes a result into what is annotated; for these it would warn, or fail.
    """
    if hint in _STREAMS or get_origin(hint) in _STREAMS:
        return True
    if isinstance(hint, type) and issubclass(hint, Output | PurePath | io.IOBase):
        return True
    return any(map(is_captured, get_args(hint)))
