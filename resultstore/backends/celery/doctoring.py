"""App checks: finds tasks of a Celery app that are not captured, and time limits that do not fit the broker's."""

from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import urlsplit

from celery import Celery, Task
from celery.app.utils import find_app
from celery.utils.imports import cwd_in_path

from resultstore.backends.celery.backend_check import (
    check_backend,
    find_store,
    index_serves,
    names_other_index,
    server_probes,
)
from resultstore.backends.celery.capture.registry import is_installed, is_task_captured
from resultstore.backends.celery.third_party import third_party_probes
from resultstore.model.errors import Misconfigured
from resultstore.ops.doctor import Defect, Probe, Verdict
from resultstore.store import Store

__all__ = ["app_probes", "broker_of", "index_serves", "names_other_index", "server_probes", "store_of_app"]

CONSUMER_TIMEOUT_S: Final = 1_800  # RabbitMQ since 3.8.17; `consumer_timeout` in rabbitmq.conf, in milliseconds
VISIBILITY_TIMEOUT_S: Final = 3_600  # kombu/transport/redis.py
_SHOWN: Final = 5


def find_app_named(name: str) -> Celery:
    """Return the app at `name` (`module` or `module:attribute`). Raises Misconfigured, also if its module fails."""
    try:
        with cwd_in_path():
            app: Celery = find_app(name)
            app.finalize(auto=True)
            app.loader.import_default_modules()
    except (ImportError, AttributeError, ValueError) as error:
        raise Misconfigured(f"no Celery app is found at {name} ({error}): write its name as for `celery -A`") from error
    except Exception as error:
        text = f"the module of {name} fails at its import ({type(error).__name__} {error})"
        raise Misconfigured(f"{text}: see what `python -c 'import {name.partition(':')[0]}'` prints") from error
    return app


def broker_of(name: str) -> tuple[str, Callable[..., Any]]:
    """Return the URL of the app's broker, and what makes a connection to it. Raises Misconfigured."""
    app = find_app_named(name)
    urls = app.conf.broker_write_url or app.conf.broker_url or "amqp://"
    return (urls if isinstance(urls, str) else ";".join(urls)), app.connection_for_write


def app_probes(name: str) -> dict[str, Probe]:
    """Return the checks that apply to the app at `name`. Raises Misconfigured."""
    app = find_app_named(name)
    found: dict[str, Probe] = {"result backend": lambda: check_backend(app)}
    if find_store(app) is not None:  # otherwise the row above says all that there is to say
        found["tasks captured"] = lambda: check_capture(app)
    transport = urlsplit(str(app.conf.broker_url or "amqp://")).scheme.partition("+")[0]
    if transport in {"amqp", "amqps", "pyamqp"}:
        found["consumer timeout"] = lambda: check_consumer_timeout(app)
    if transport in {"redis", "rediss", "sentinel"}:
        found["visibility timeout"] = lambda: check_visibility_timeout(app)
        found["redelivery"] = lambda: check_redelivery(app)
    return found | third_party_probes(app)


def store_of_app(name: str) -> Store | None:
    """Return the Store of the results of the app at `name`, or None if it has another backend. Raises Misconfigured."""
    return find_store(find_app_named(name))


def check_capture(app: Celery) -> str | Defect:
    """Check that the outputs of every task are captured; an app without `setup` may do without."""
    names = sorted(name for name in app.tasks if not name.startswith("celery."))
    missed = [name for name in names if not is_task_captured(app.tasks[name])]
    if missed and not is_installed(app):
        return Defect(
            f"setup(app) is not called: large returned values are stored, but {_named(missed)} cannot return files, "
            "and large arguments travel whole",
            "if a task returns files or takes large arguments, call setup(app) where the app is made",
            Verdict.WARNING,
        )
    if missed:
        return Defect(
            f"{_named(missed)} not captured ({len(missed)} of {len(names)} tasks): large outputs fail or travel whole",
            "call setup(app) where the app is made, and register tasks by decorators or app.register_task",
        )
    return f"{len(names)} tasks"


def check_consumer_timeout(app: Celery) -> str | Defect:
    """Check that RabbitMQ waits long enough for tasks that are acknowledged late."""
    limit_s = float(app.conf.get("resultstore_consumer_timeout_s") or CONSUMER_TIMEOUT_S)
    return _within(
        app,
        limit_s,
        what="RabbitMQ's consumer_timeout",
        remedy=f"give them a hard time limit below {limit_s:.0f} s, or raise consumer_timeout in rabbitmq.conf and "
        "set the app's resultstore_consumer_timeout_s to the same",
    )


def check_visibility_timeout(app: Celery) -> str | Defect:
    """Check that a Redis broker does not deliver a running task to another worker."""
    limit_s = float(app.conf.broker_transport_options.get("visibility_timeout") or VISIBILITY_TIMEOUT_S)
    return _within(
        app,
        limit_s,
        what="the broker's visibility_timeout",
        remedy=f"give them a hard time limit below {limit_s:.0f} s, or raise visibility_timeout in "
        "broker_transport_options",
    )


def check_redelivery(app: Celery) -> str | Defect:
    """Check that the app sets how long a Redis broker waits after the loss of a worker."""
    tasks = [name for name, task in app.tasks.items() if task.acks_late and task.reject_on_worker_lost]
    names = sorted(name for name in tasks if not name.startswith("celery."))
    chosen = app.conf.broker_transport_options.get("visibility_timeout")
    after = f"delivered again {float(chosen or VISIBILITY_TIMEOUT_S):.0f} s after the loss of a worker"
    if not names or chosen:
        return f"{len(names)} tasks are {after}"
    return Defect(
        f"{_named(names)}: only {after}, the broker's default visibility_timeout",
        "set visibility_timeout in broker_transport_options to a little more than the longest task takes, or use "
        "RabbitMQ, which delivers again at once",
        Verdict.WARNING,
    )


def _within(app: Celery, limit_s: float, *, what: str, remedy: str) -> str | Defect:
    late = {name: task for name, task in app.tasks.items() if task.acks_late and not name.startswith("celery.")}
    longer = sorted(name for name, task in late.items() if not _ends_within(app, task, limit_s))
    if longer:
        text = f"{_named(longer)} may run longer than {what} ({limit_s:.0f} s): it is started again while it runs"
        return Defect(text, remedy, Verdict.WARNING)
    return f"{len(late)} tasks are acknowledged late, all end within {limit_s:.0f} s"


def _ends_within(app: Celery, task: Task, limit_s: float) -> bool:
    hard_s = task.time_limit or app.conf.task_time_limit
    return hard_s is not None and float(hard_s) < limit_s


def _named(names: Iterable[str]) -> str:
    shown = list(names)
    more = len(shown) - _SHOWN
    return ", ".join(shown[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
