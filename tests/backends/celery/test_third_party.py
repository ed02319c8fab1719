"""The doctor's part for tasks with code of their own, and for libraries that look for Redis in the settings."""

import pytest
from celery import Celery, Task
from celery_singleton import Singleton

from resultstore.backends.celery import setup
from resultstore.backends.celery.third_party import check_libraries, check_own_classes
from resultstore.ops.doctor import Defect, Verdict
from tests.works_with.batches import Batches


class OwnSending(Task):
    def apply_async(self, *args: object, **options: object) -> object:
        return super().apply_async(*args, **options)


class OwnHooks(Task):
    def on_success(self, *args: object) -> None:
        pass


def do_nothing() -> None:
    """The body of every task here."""


@pytest.fixture
def app() -> Celery:
    made = Celery("third_party", broker="amqp://", backend="resultstore+memory://", set_as_current=False)
    for name in [name for name in made.tasks if not name.startswith("celery.")]:
        made.tasks.unregister(name)  # the shared tasks of other tests' apps
    setup(made)
    made.task(do_nothing, name="plain", shared=False)
    made.task(do_nothing, name="hooked", base=OwnHooks, shared=False)
    return made


def test_plain_tasks_and_hooks_are_fine(app: Celery):
    assert check_own_classes(app) == "none; 1 tasks have hooks, which get values"
    assert check_libraries(app) == "none that looks for a Redis of its own"


def test_own_strategy_and_sending_are_named(app: Celery):
    app.task(do_nothing, name="batched", base=Batches, shared=False)
    app.task(do_nothing, name="sends", base=OwnSending, shared=False)

    found = check_own_classes(app)

    assert isinstance(found, Defect)
    assert found.verdict is Verdict.WARNING
    assert found.text == "batched with a Strategy of their own; sends with an apply_async of their own"


@pytest.mark.parametrize("broker", ["amqp://", "redis://"])
def test_libraries_without_their_setting_are_named(app: Celery, broker: str):
    app.conf.broker_url = broker
    app.conf.beat_scheduler = "redbeat.RedBeatScheduler"
    app.task(do_nothing, name="single", base=Singleton, shared=False)

    found = check_libraries(app)

    assert isinstance(found, Defect)
    assert ("fails" in found.text) == (broker == "amqp://")
    assert "singleton_backend_url and redbeat_redis_url" in found.remedy
    app.conf.update(singleton_backend_url="redis://", redbeat_redis_url="redis://")
    assert check_libraries(app) == "celery-singleton, celery-redbeat: set"
