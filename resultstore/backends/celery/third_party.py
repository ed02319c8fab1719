"""Probes: checks of an app for libraries and tasks that resultstore's backend treats differently."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Final
from urllib.parse import urlsplit

import msgspec
from celery import Celery, Task

from resultstore.backends.celery.capture.batched import has_own_strategy
from resultstore.ops.doctor import Defect, Probe, Verdict

_REDIS: Final = ("redis", "rediss", "unix", "socket", "redis-socket")
_HOOKS: Final = ("on_success", "on_failure", "on_retry", "after_return", "before_start")


class Library(msgspec.Struct, frozen=True):
    """A library that looks for a Redis of its own in the app's settings: its module, and the setting that names it."""

    module: str
    setting: str


# celery_singleton/config.py and redbeat/schedulers.py: both take the broker's URL where their setting is missing.
_LIBRARIES: Final[Mapping[str, Library]] = {
    "celery-singleton": Library("celery_singleton", "singleton_backend_url"),
    "celery-redbeat": Library("redbeat", "redbeat_redis_url"),
}


def third_party_probes(app: Celery) -> dict[str, Probe]:
    """Return the checks of tasks with code of their own, and of installed libraries."""
    return {"own task classes": lambda: check_own_classes(app), "other libraries": lambda: check_libraries(app)}


def check_own_classes(app: Celery) -> str | Defect:
    """Check for tasks whose class decides what runs, or what is sent."""
    kinds: dict[str, Callable[[Task], bool]] = {
        "a Strategy of their own": has_own_strategy,
        "an apply_async of their own": lambda task: _overrides(task, "apply_async"),
    }
    tasks = {name: task for name, task in sorted(app.tasks.items()) if not name.startswith("celery.")}
    found = [(what, [name for name, task in tasks.items() if has(task)]) for what, has in kinds.items()]
    texts = [f"{', '.join(names)} with {what}" for what, names in found if names]
    if texts:
        return Defect(
            "; ".join(texts),
            "see docs/how-to/works-with.md: what a Strategy runs is not captured, and its requests get values; "
            "an apply_async gets arguments before they are replaced by references",
            Verdict.WARNING,
        )
    hooked = sum(any(_overrides(task, hook) for hook in _HOOKS) for task in tasks.values())
    return f"none; {hooked} tasks have hooks, which get values"


def check_libraries(app: Celery) -> str | Defect:
    """Check that libraries which look for Redis in the app's settings know where it is."""
    installed = {
        name: one for name, one in _LIBRARIES.items() if find_spec(one.module) is not None and _is_used(app, one)
    }
    missing = {name: one.setting for name, one in installed.items() if not app.conf.get(one.setting)}
    if not missing:
        return f"{', '.join(installed)}: set" if installed else "none that looks for a Redis of its own"
    broker = urlsplit(str(app.conf.broker_url or "amqp://")).scheme.partition("+")[0]
    takes = "takes the broker's Redis" if broker in _REDIS else f"fails: it takes the broker's URL ({broker})"
    return Defect(
        f"{' and '.join(missing)} cannot read result_backend (resultstore+redis://...), and {takes}",
        f"set {' and '.join(missing.values())} to the URL of a Redis (redis://host:6379/0)",
        Verdict.WARNING,
    )


def _is_used(app: Celery, library: Library) -> bool:
    """Return whether a task's class, or the scheduler of `celery beat`, is of this library."""
    classes = (kind for task in app.tasks.values() for kind in type(task).__mro__)
    modules = (str(app.conf.beat_scheduler), *(str(kind.__module__) for kind in classes))
    return any(name.partition(".")[0] == library.module for name in modules)


def _overrides(task: Task, name: str) -> bool:
    """Return whether a class of the task other than Celery's defines `name`."""
    kind = next(one for one in type(task).__mro__ if name in vars(one))
    return not kind.__module__.startswith("celery.")
