"""Failing: which signatures of a chain will never run once one of its links has failed."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

Plain = dict[str, Any]  # a signature as it stands in a message


def never_run(chain: object) -> list[Plain]:
    """The signatures behind a failed link, those inside of groups and chords too, for Celery's `_fail_chain`.

    Celery goes down to the body of a chord, but not into a group or a header: whoever waits for one of their ids would
    wait for ever (Celery #6437; and a group with a task behind it is a chord).

    Args:
        chain: a request's `chain`: a list of signatures, or whatever else Celery puts there when there is none.
    """
    return list(_descended(chain)) if isinstance(chain, list | tuple) else []


def _descended(signatures: Iterable[Plain]) -> Iterator[Plain]:
    for one in signatures:
        yield one
        kwargs = one.get("kwargs") or {}
        kind = one.get("subtask_type")
        if kind in {"group", "chain"}:
            yield from _descended(kwargs.get("tasks") or ())
        elif kind == "chord":
            header, body = kwargs.get("header") or (), kwargs.get("body")
            yield from _descended([dict(header)] if isinstance(header, Mapping) else header)
            yield from islice(_descended([body] if body else ()), 1, None)  # the body itself is Celery's
