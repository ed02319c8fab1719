"""SpillingAmqp: builds an app's messages, with references in place of arguments that are too large."""

from typing import Any

from celery import Celery
from kombu.utils.imports import symbol_by_name

from resultstore.backends.celery.capture.spiller import Spiller


class SpillingAmqp:
    """Mixed into an app's `amqp_cls`. The message keeps its content type and the three parts of its body.

    With another content type, a worker without this package would acknowledge the message and lose it.
    """

    app: Celery

    def as_task_v2(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - Celery's arguments and its task_message
        """Build a message of protocol 2."""
        message = super().as_task_v2(*args, **options)  # type: ignore[misc]  # Celery's AMQP is the next in line
        return spiller_of(self.app).spill_arguments(message, options)


def install(app: Celery, *, produces: bool) -> None:
    """Let `app` send references; a second call only changes `produces`."""
    app.resultstore_spilling = Spiller(app, produces=produces)
    kind: type = symbol_by_name(app.amqp_cls)  # type: ignore[no-untyped-call]  # kombu has types in part
    if issubclass(kind, SpillingAmqp):
        return
    app.amqp_cls = type(kind.__name__, (SpillingAmqp, kind), {"__module__": kind.__module__})
    # An instance that exists already would not use the new class.
    vars(app).pop("amqp", None)


def spiller_of(app: Celery) -> Spiller:
    """Return the Spiller that `install` has given to the app."""
    found: Spiller = app.resultstore_spilling
    return found
