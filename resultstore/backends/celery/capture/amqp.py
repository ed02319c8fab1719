"""AMQP: the part of an app that makes messages, here with references for arguments that are too big."""

from typing import Any

from celery import Celery
from kombu.utils.imports import symbol_by_name

from resultstore.backends.celery.capture.spiller import Spiller


class SpillingAmqp:
    """Mixed into an app's `amqp_cls`. The message stays what it was: same content type, same three parts of its body.

    A changed content type would make a worker without this package acknowledge the message and lose it.
    """

    app: Celery

    def as_task_v2(self, *told: Any, **options: Any) -> Any:  # noqa: ANN401 - Celery's arguments and its task_message
        """A message of protocol 2."""
        message = super().as_task_v2(*told, **options)  # type: ignore[misc]  # Celery's AMQP is the next in line
        return spilling_of(self.app).lightened(message, options)


def install(app: Celery, *, produces: bool) -> None:
    """Let `app` send references; a second call only sets whether they are made."""
    app.resultstore_spilling = Spiller(app, produces=produces)
    kind: type = symbol_by_name(app.amqp_cls)  # type: ignore[no-untyped-call]  # kombu has types in part
    if issubclass(kind, SpillingAmqp):
        return
    app.amqp_cls = type(kind.__name__, (SpillingAmqp, kind), {"__module__": kind.__module__})
    # One that was made before would go on as it was.
    vars(app).pop("amqp", None)


def spilling_of(app: Celery) -> Spiller:
    """What `install` gave to the app."""
    found: Spiller = app.resultstore_spilling
    return found
