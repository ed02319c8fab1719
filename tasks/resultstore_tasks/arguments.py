"""Registration of shipped tasks, and the checks of what they are called with before they read a byte."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import TypeVar

from celery import Task

from resultstore import Artifact, BadInput, Offer
from resultstore.backends import celery
from resultstore_tasks.app import app

R = TypeVar("R")

STEM_MAX_CHARS = 200


def offered(offer: Offer, *, time_limit_s: int | None = None) -> Callable[[Callable[..., R]], Task]:
    """Return a decorator that registers a function as the Celery task of `offer`.

    `resultstore.backends.celery.offered` says how it is called.

    Args:
        offer: the declaration of the task.
        time_limit_s: ends the task's process after this time; None for the limit of the worker.
    """
    return celery.offered(app, offer, time_limit_s=time_limit_s)


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
