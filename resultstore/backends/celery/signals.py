"""Signals: connections to Celery's signals that end together with the object that made them."""

from collections.abc import Callable
from itertools import count
from typing import Any

from celery.utils.dispatch import Signal

Receiver = Callable[..., object]

_numbers = count(1)  # unlike an id, never used again


class Signals:
    """Keeps receivers of Celery's signals alive for as long as this object lives, and no longer.

    Celery's signals live as long as the process, and a strong connection would keep the backend alive with them. A weak
    one is lost at once if nothing else refers to the receiver. So Celery gets weak references, and the strong ones are
    held here, by the owner of this object.
    """

    def __init__(self) -> None:
        self._connections: list[tuple[Signal, _Receiver]] = []

    def connect(self, signal: Signal, receiver: Receiver) -> None:
        """Call `receiver` for each `signal` from now on; two owners may connect the same function."""
        connection = _Receiver(receiver)
        self._connections.append((signal, connection))
        signal.connect(connection.receive, weak=True, dispatch_uid=connection.uid)

    def disconnect(self) -> None:
        """Call no receiver of this object any more."""
        while self._connections:
            signal, connection = self._connections.pop()
            signal.disconnect(dispatch_uid=connection.uid)


class _Receiver:
    """One connection, which Celery identifies by its `uid`.

    Without one, Celery before 5.7 takes the same method of two objects for one receiver, and does not connect the
    second: the second app of a process would announce none of its tasks.
    """

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self.uid = f"resultstore-{next(_numbers)}"

    def receive(self, *args: Any, **kwargs: Any) -> object:  # noqa: ANN401 - what each signal sends
        return self._receiver(*args, **kwargs)
