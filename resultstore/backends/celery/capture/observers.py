"""Observers: finds out whether hooks or signals of the user read a task's arguments or its return value."""

import weakref
from typing import Final

from celery import Task, signals
from celery.app.trace import task_has_custom
from celery.utils.dispatch import Signal

# Receivers in these modules read neither.
_BLIND: Final = ("celery.", "opentelemetry.", "resultstore.")


def watches_start(task: Task) -> bool:
    """Return whether something sees the arguments before the task's body does."""
    return task_has_custom(task, "before_start") or _has_receivers(signals.task_prerun)


def watches_end(task: Task) -> bool:
    """Return whether something sees the arguments or the value of a task that has succeeded."""
    hooks = any(task_has_custom(task, name) for name in ("on_success", "after_return"))
    return hooks or _has_receivers(signals.task_success) or _has_receivers(signals.task_postrun)


def _has_receivers(signal: Signal) -> bool:
    return any(not _module(receiver).startswith(_BLIND) for _, receiver in list(signal.receivers))


def _module(receiver: object) -> str:
    called = receiver() if isinstance(receiver, weakref.ReferenceType) else receiver
    return f"{getattr(called, '__module__', '')}."
