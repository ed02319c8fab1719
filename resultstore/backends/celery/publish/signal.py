"""Outgoing: calls what marks or notes each message before it is sent."""

from collections.abc import Callable, Sequence
from typing import Final

from celery.signals import before_task_publish

from resultstore.model.ids import id_of

Headers = dict[str, object]

_ID_HEADERS: Final = ("id", "root_id", "parent_id", "group")
_ID_PROPERTIES: Final = ("correlation_id",)


class PublishSignal:
    """One receiver of Celery's signal for all of these: each further receiver costs a task's sender some 10 us.

    For as long as this object lives: Celery's signals hold it weakly.

    Args:
        steps: called in this order with the message's headers, which they may change; they raise nothing.
        last: called behind them with the headers and the body.
    """

    def __init__(self, *steps: Callable[[Headers], None], last: Callable[[Headers, object], None]) -> None:
        self._steps = steps
        self._last = last
        before_task_publish.connect(self._sent, weak=True)

    def _sent(
        self, headers: Headers | None = None, body: object = None, properties: Headers | None = None, **_: object
    ) -> None:
        if headers is None:
            return
        _plain_ids(headers, _ID_HEADERS)
        _plain_ids(properties or {}, _ID_PROPERTIES)
        for step in self._steps:
            step(headers)
        self._last(headers, body)


def _plain_ids(fields: Headers, names: Sequence[str]) -> None:
    """Let a message name its ids as text: AMQP cannot write a UUID, and a worker would get it back as one."""
    for name in names:
        given = fields.get(name)
        if given is not None and type(given) is not str:
            fields[name] = id_of(given)
