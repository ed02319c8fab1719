"""Registration of shipped tasks, and the checks of what they are called with before they read a byte."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import Parameter, Signature
from pathlib import PurePath
from typing import Annotated, TypeVar

from celery import Task
from pydantic import ValidationError, validate_call

from resultstore import Artifact, BadInput, Offer
from resultstore_tasks.app import app

R = TypeVar("R")

STEM_MAX_CHARS = 200


def offered(offer: Offer, *, time_limit_s: int | None = None) -> Callable[[Callable[..., R]], Task]:
    """Return a decorator that registers a function as the Celery task of `offer`.

    Callers pass the source and each option by position or by name: `resize(source, widths=[800])`. The function
    receives the source, if the offer takes one, and the options as one value of the model `offer.arguments`.
    A call that the offer does not allow raises BadInput, which names each wrong argument and all allowed ones.

    Args:
        offer: the declaration of the task.
        time_limit_s: ends the task's process after this time; None for the limit of the worker.
    """

    def register(function: Callable[..., R]) -> Task:
        return app.task(name=offer.task, time_limit=time_limit_s)(_checked(function, offer))

    return register


@contextmanager
def naming(kind: str, source: Artifact) -> Iterator[None]:
    """Prefix the message of a BadInput with the input that it is about: `image cat.jpg of 7f3a: ...`."""
    try:
        yield
    except BadInput as reason:
        raise BadInput(f"{kind} {source.file_name!r} of {source.id}: {reason}") from reason


def check_size(source: Artifact, offer: Offer) -> None:
    """Raise BadInput if `source` is larger than `offer` allows; no byte of it is read."""
    if source.size_bytes > offer.max_bytes:
        raise BadInput(f"it has {source.size_bytes:,} bytes, over the cap of {offer.max_bytes:,}; send a smaller one")


def file_stem(source: Artifact, otherwise: str) -> str:
    """Return the source's file name without folder and suffix, or `otherwise` if nothing is left.

    The stem is cut to `STEM_MAX_CHARS`, so that an output's name has space for a suffix.
    """
    return PurePath(source.file_name).stem[:STEM_MAX_CHARS] or otherwise


def _checked(function: Callable[..., R], offer: Offer) -> Callable[..., R]:
    signature = _signature(offer)

    @functools.wraps(function)
    def call_with_options(*args: object, **kwargs: object) -> R:
        given = signature.bind(*args, **kwargs).arguments
        sources = [given.pop("source")] if offer.takes else []
        return function(*sources, offer.arguments.model_construct(**given))

    # validate_call and inspect.signature read these.
    call_with_options.__signature__ = signature  # type: ignore[attr-defined]
    call_with_options.__annotations__ = {one.name: one.annotation for one in signature.parameters.values()}
    validated = validate_call(call_with_options)

    @functools.wraps(call_with_options)
    def call(*args: object, **kwargs: object) -> R:
        try:
            return validated(*args, **kwargs)
        except ValidationError as error:
            if error.title != function.__name__:  # raised by the body, about something else
                raise
            raise BadInput(_explain(offer, list(signature.parameters), error)) from None

    return call


def _signature(offer: Offer) -> Signature:
    """Return the signature that callers of the task see: the source, then each option with its default."""
    parameters = [
        Parameter(
            name,
            Parameter.POSITIONAL_OR_KEYWORD,
            default=Parameter.empty if field.is_required() else field.default,
            annotation=Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation,
        )
        for name, field in offer.arguments.model_fields.items()
    ]
    if offer.takes:
        parameters.insert(0, Parameter("source", Parameter.POSITIONAL_OR_KEYWORD, annotation=Artifact))
    return Signature(parameters)


def _explain(offer: Offer, takes: list[str], error: ValidationError) -> str:
    wrong = "; ".join(
        f"{_argument_path(one['loc'], takes)!r}: {one['msg']}"
        for one in error.errors(include_input=False, include_url=False)
    )
    return f"{offer.task} was called wrongly: {wrong}; it takes: {', '.join(takes)}"


def _argument_path(steps: tuple[int | str, ...], takes: list[str]) -> str:
    # pydantic reports an argument that was passed by position by its number; callers know its name.
    first = takes[steps[0]] if isinstance(steps[0], int) and steps[0] < len(takes) else steps[0]
    return ".".join(str(step) for step in (first, *steps[1:]))
