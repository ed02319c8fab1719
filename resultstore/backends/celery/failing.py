"""Failing: which signatures of a chain will never run once one of its links has failed."""

from collections.abc import Iterable, Iterator
from typing import Any

Plain = dict[str, Any]  # a signature as it stands in a message


def never_run(chain: object) -> list[Plain]:
    """The signatures behind a failed link, those inside of groups too, as Celery's `_fail_chain` takes them.

    Celery goes down into the body of a chord, but not into a group: whoever waits for one of a final group's ids
    would wait for ever (Celery #6437).

    Args:
        chain: a request's `chain`: a list of signatures, or whatever else Celery puts there when there is none.
    """
    return list(_descended(chain)) if isinstance(chain, list | tuple) else []


def _descended(signatures: Iterable[Plain]) -> Iterator[Plain]:
    for one in signatures:
        yield one
        if one.get("subtask_type") in {"group", "chain"}:
            yield from _descended((one.get("kwargs") or {}).get("tasks") or ())
