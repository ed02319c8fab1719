"""Failing: the signatures of a chain that never run once one of its links has failed."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

Plain = dict[str, Any]  # a signature as it is written in a message


def list_unrun(chain: object) -> list[Plain]:
    """Return the signatures after a failed link, with those inside groups and chords, for Celery's `_fail_chain`.

    Celery descends to the body of a chord, but not into a group or a header. A caller that waits for one of their ids
    would wait without end (Celery #6437; a group that is followed by a task is a chord).

    Args:
        chain: a request's `chain`: a list of signatures, or what Celery sets where there is none.
    """
    return list(_descend(chain)) if isinstance(chain, list | tuple) else []


def _descend(signatures: Iterable[Plain]) -> Iterator[Plain]:
    for one in signatures:
        yield one
        kwargs = one.get("kwargs") or {}
        kind = one.get("subtask_type")
        if kind in {"group", "chain"}:
            yield from _descend(kwargs.get("tasks") or ())
        elif kind == "chord":
            header, body = kwargs.get("header") or (), kwargs.get("body")
            yield from _descend([dict(header)] if isinstance(header, Mapping) else header)
            yield from islice(_descend([body] if body else ()), 1, None)  # the body itself is Celery's
