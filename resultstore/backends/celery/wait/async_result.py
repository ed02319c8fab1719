"""Results: an app's AsyncResult, whose look for the errors of its parents downloads none of their values."""

from collections.abc import Iterator
from typing import Any, Final

from celery import Celery, states
from celery.result import AsyncResult as CelerysResult, ResultSet

_PATH: Final = f"{__name__}:AsyncResult"


class AsyncResult(CelerysResult):
    """Celery's, but for one look at the states.

    `get` raises a parent's error before its own. For that Celery reads the outcome of each parent, and so the value of
    each that succeeded (celery/result.py, `maybe_throw`): a client that waited for the body of a chord over 1,000 parts
    of 1 MB was sent all of them, and kept them.
    """

    def _maybe_reraise_parent_error(self) -> None:
        for node in reversed(list(self._parents())):
            for one in _leaves(node):
                if one.state in states.PROPAGATE_STATES:
                    one.maybe_throw()


def install(app: Celery) -> None:
    """Let `app` make its results so. Doing it twice changes nothing; a class of the user's own stays."""
    if app.AsyncResult.__mro__[1] is CelerysResult:
        app.AsyncResult = app.subclass_with_self(_PATH)


def _leaves(node: Any) -> Iterator[CelerysResult]:  # noqa: ANN401 - a result, or a set of them
    if not isinstance(node, ResultSet):
        yield node
        return
    for one in node.results:
        yield from _leaves(one)
