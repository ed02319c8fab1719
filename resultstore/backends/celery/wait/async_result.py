"""AsyncResult: Celery's result object, which checks its parents for errors without downloading their values."""

from collections.abc import Iterator
from typing import Any, Final

from celery import Celery, states
from celery.result import AsyncResult as CelerysResult, ResultSet

_PATH: Final = f"{__name__}:AsyncResult"


class AsyncResult(CelerysResult):
    """Celery's AsyncResult, which reads only the states of its parents.

    `get` raises a parent's error before its own. Celery reads the outcome of each parent for that, and so the value of
    each that succeeded (celery/result.py, `maybe_throw`). A client that waited for the body of a chord over 1,000 parts
    of 1 MB downloaded all of them, and kept them.
    """

    def _maybe_reraise_parent_error(self) -> None:
        for node in reversed(list(self._parents())):
            for one in _leaves(node):
                if one.state in states.PROPAGATE_STATES:
                    one.maybe_throw()


def install(app: Celery) -> None:
    """Let `app` use this class; a second call changes nothing. A class of the user's own is kept."""
    if app.AsyncResult.__mro__[1] is CelerysResult:
        app.AsyncResult = app.subclass_with_self(_PATH)


def _leaves(node: Any) -> Iterator[CelerysResult]:  # noqa: ANN401 - a result, or a set of them
    if not isinstance(node, ResultSet):
        yield node
        return
    for one in node.results:
        yield from _leaves(one)
