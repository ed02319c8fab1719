"""Fixture `resultstore`: stores and Celery workers without servers, for the tests of projects that use resultstore."""

import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import pytest

if TYPE_CHECKING:
    from celery import Celery

    from resultstore.store import Store


class StoreTesting:
    """Makes Stores, and runs the tasks of a Celery app, without a server and whatever RESULTSTORE_* variables say.

    pytest loads this file in every project where resultstore is installed, so it imports the rest on first use.

    Args:
        new_folder: makes an empty folder for the blobs of a Store.
    """

    def __init__(self, new_folder: Callable[[], Path]) -> None:
        self._new_folder = new_folder

    def store(self, **settings: object) -> "Store":
        """Return a new, empty Store, for code that needs no task queue.

        `settings` are by the names of `Settings`, such as `system_tasks="jobs.*"`; all others are the defaults.
        """
        package = importlib.import_module("resultstore")
        isolated = importlib.import_module("resultstore.settings.isolated")
        values = isolated.isolated_settings(self._new_folder(), settings)
        made: Store = package.connect(package.Settings(**values))
        return made

    def eager(self, app: "Celery", **settings: object) -> "AbstractContextManager[Store]":
        """Run each task of `app` in the process that calls it; the block gets the Store. `settings` as in `store`."""
        return _celery_testing().eager(app, **settings)

    def worker(self, app: "Celery", **settings: object) -> "AbstractContextManager[Store]":
        """Run a real worker of `app` on a thread of the test process; the block gets the Store.

        Stopping it takes some seconds: a fixture with the scope of a module or session shares it among many tests.
        `settings` as in `store`.
        """
        return _celery_testing().working(app, **settings)


def _celery_testing() -> "_CeleryTesting":
    return cast("_CeleryTesting", importlib.import_module("resultstore.backends.celery.testing"))


class _CeleryTesting(Protocol):
    """Module `resultstore.backends.celery.testing`."""

    def eager(self, app: "Celery", **settings: object) -> "AbstractContextManager[Store]": ...

    def working(self, app: "Celery", **settings: object) -> "AbstractContextManager[Store]": ...


@pytest.fixture(scope="session")
def resultstore(tmp_path_factory: pytest.TempPathFactory) -> StoreTesting:
    """`resultstore.store()`, `resultstore.eager(app)` and `resultstore.worker(app)`: no server needed."""
    return StoreTesting(lambda: tmp_path_factory.mktemp("resultstore"))
