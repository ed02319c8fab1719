"""Arguments: checks what a task was called with, before it touches a byte."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import signature
from pathlib import PurePath
from typing import ParamSpec, TypeVar

from pydantic import ConfigDict, ValidationError, validate_call

from resultstore import Artifact, BadInput

P = ParamSpec("P")
R = TypeVar("R")

STEM_MAX_CHARS = 200


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, refusing with BadInput what its annotations do not allow.

    The message names each wrong argument and all that the task takes: a caller that sends by name
    (`send_task`) has no signature of its own to read.
    """
    validated = validate_call(config=ConfigDict(arbitrary_types_allowed=True))(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return validated(*args, **kwargs)
        except ValidationError as error:
            if error.title != function.__name__:  # raised by the body, about something else
                raise
            raise BadInput(_explained(function, error)) from None

    return call


@contextmanager
def naming(kind: str, source: Artifact) -> Iterator[None]:
    """Put which input it was before the reason why it cannot be used: `image cat.jpg of 7f3a: ...`."""
    try:
        yield
    except BadInput as reason:
        raise BadInput(f"{kind} {source.file_name!r} of {source.id}: {reason}") from reason


def file_stem(source: Artifact, otherwise: str) -> str:
    """The source's file name without folder and suffix, to name outputs by; `otherwise` when nothing is left.

    It is cut, so that what is added fits into an Artifact's name.
    """
    return PurePath(source.file_name).stem[:STEM_MAX_CHARS] or otherwise


def _explained(function: Callable[..., object], error: ValidationError) -> str:
    takes = list(signature(function).parameters)
    wrong = "; ".join(
        f"{_place(one['loc'], takes)!r}: {one['msg']}" for one in error.errors(include_input=False, include_url=False)
    )
    package = function.__module__.split(".")[1].replace("report", "pdf")  # tasks/report holds `pdf.report`
    return f"{package}.{function.__name__} was called wrongly: {wrong}; it takes: {', '.join(takes)}"


def _place(steps: tuple[int | str, ...], takes: list[str]) -> str:
    # What was passed by position is told by its number: people know it by its name.
    first = takes[steps[0]] if isinstance(steps[0], int) and steps[0] < len(takes) else steps[0]
    return ".".join(str(step) for step in (first, *steps[1:]))
