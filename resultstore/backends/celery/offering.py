"""`offered`: registers a function as the Celery task of an Offer, with checked options."""

import functools
from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Annotated, Final, TypeVar

from celery import Celery, Task
from pydantic import Field, ValidationError, validate_call
from pydantic.fields import FieldInfo

from resultstore.dispatch.offers import Offer, Offers
from resultstore.model.artifact import Artifact
from resultstore.model.errors import BadInput

R = TypeVar("R")

_OFFER: Final = "resultstore_offer"  # attribute of a task


def offered(
    app: Celery, offer: Offer, *, time_limit_s: int | None = None, **options: object
) -> Callable[[Callable[..., R]], Task]:
    """Return a decorator that registers a function as the Celery task of `offer`.

    Callers pass the source and each option by position or by name: `resize(source, widths=[800])`. The function
    receives the source, if the offer takes one, and the options as one value of the model `offer.arguments`.
    A call that the offer does not allow raises BadInput, which names each wrong argument and all allowed ones.

    Args:
        app: the Celery app that runs the task.
        offer: the declaration of the task; a gateway with `--app` offers it.
        time_limit_s: ends the task's process after this time; None for the limit of the worker.
        options: further options of Celery's `app.task`.
    """

    def register(function: Callable[..., R]) -> Task:
        # Not shared: Celery would register the task, and so its offer, with every app of the process.
        chosen = {"shared": False, **options, "name": offer.task, "time_limit": time_limit_s, _OFFER: offer}
        task: Task = app.task(**chosen)(_checked(function, offer))
        return task

    return register


def offers_of(app: Celery) -> Offers:
    """Return the offers of the tasks of `app` that `offered` has registered, in the order of their names.

    It imports the modules of the app's `include` and `imports`, as a worker does.
    """
    app.loader.import_default_modules()
    found = {name: getattr(task, _OFFER, None) for name, task in sorted(app.tasks.items())}
    return {name: offer for name, offer in found.items() if offer is not None}


def _checked(function: Callable[..., R], offer: Offer) -> Callable[..., R]:
    signature = _signature(offer)

    @functools.wraps(function)
    def arguments(*args: object, **kwargs: object) -> tuple[object, ...]:
        given = signature.bind(*args, **kwargs).arguments
        sources = [given.pop("source")] if offer.takes else []
        return (*sources, offer.arguments.model_validate(given))  # also by the model's own validators

    # validate_call and inspect.signature read these.
    arguments.__signature__ = signature  # type: ignore[attr-defined]
    arguments.__annotations__ = {one.name: one.annotation for one in signature.parameters.values()}
    validated = validate_call(arguments)

    @functools.wraps(arguments)
    def call(*args: object, **kwargs: object) -> R:
        try:
            found = validated(*args, **kwargs)
        except ValidationError as error:
            raise BadInput(_explain(offer, list(signature.parameters), error)) from None
        return function(*found)

    return call


def _signature(offer: Offer) -> Signature:
    """Return the signature that callers of the task see: the source, then each option with its default."""
    parameters = [
        Parameter(
            name,
            Parameter.POSITIONAL_OR_KEYWORD,
            default=_default(field),
            annotation=Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation,
        )
        for name, field in offer.arguments.model_fields.items()
    ]
    if offer.takes:
        parameters.insert(0, Parameter("source", Parameter.POSITIONAL_OR_KEYWORD, annotation=Artifact))
    # Python allows a parameter without a default only before those that have one.
    parameters.sort(key=lambda one: one.default is not Parameter.empty)
    return Signature(parameters)


def _default(field: FieldInfo) -> object:
    """Return the default of a parameter; one that a factory makes is made at each call."""
    if field.is_required():
        return Parameter.empty
    return field.default if field.default_factory is None else Field(default_factory=field.default_factory)


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
