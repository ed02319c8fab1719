"""Batches: the pattern of celery-batches in few lines. A task's own Strategy collects requests, and runs them together.

A call in the pool gets a list of requests, each with `id`, `args` and `kwargs`, and stores each outcome itself.
"""

from typing import Any

from celery import Celery, Task
from celery._state import _task_stack
from celery.app.task import Context
from celery.utils.imports import symbol_by_name
from celery.worker.request import create_request_cls


class SimpleRequest:
    """What the pool gets of a request: the arguments as they were sent, and the message's headers."""

    chord = None

    def __init__(self, request: Any) -> None:
        self.args, self.kwargs, _ = request._payload
        self.id, self.name = request.id, request.name
        self.delivery_info, self.hostname = request.delivery_info, request.hostname
        self.ignore_result, self.reply_to = request.ignore_result, request.reply_to
        self.correlation_id, self.request_dict = request.correlation_id, request.request_dict


class Batches(Task):
    """A task that is called with a list of `flush_every` requests."""

    abstract = True
    typing = False
    flush_every = 2

    def __init__(self) -> None:
        self._buffer: list[Any] = []

    def Strategy(self, task: Task, app: Celery, consumer: Any) -> Any:  # noqa: N802 - Celery's name
        kind = symbol_by_name(task.Request)
        request_of = create_request_cls(
            kind, task, consumer.pool, consumer.hostname, consumer.event_dispatcher, app=app
        )

        def receive(message: Any, body: Any, ack: Any, reject: Any, callbacks: Any, **_: object) -> None:
            self._buffer.append(
                request_of(
                    message, on_ack=ack, on_reject=reject, app=app, hostname=consumer.hostname, task=task,
                    eventer=consumer.event_dispatcher, body=message.body, headers=message.headers, decoded=False,
                    connection_errors=consumer.connection_errors,
                )
            )  # fmt: skip
            if len(self._buffer) >= self.flush_every:
                requests, self._buffer = self._buffer, []
                consumer.pool.apply_async(
                    _run,
                    (self, [SimpleRequest(one) for one in requests]),
                    accept_callback=lambda *_: [one.acknowledge() for one in requests],
                    callback=lambda _: None,
                )

        return receive


def _run(task: Task, requests: list[SimpleRequest]) -> object:
    _task_stack.push(task)
    task.request_stack.push(Context())
    try:
        return task(requests)
    finally:
        _task_stack.pop()
        task.request_stack.pop()
