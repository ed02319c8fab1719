"""Fixture `resultstore`: stores and Celery workers in memory, for the tests of projects that use resultstore."""

import importlib
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, cast

import pytest

if TYPE_CHECKING:
    from celery import Celery

    from resultstore.store import Store


class StoreTesting:
    """Makes Stores in memory, and runs the tasks of a Celery app without a server.

    pytest loads this file in every project where resultstore is installed, so it imports the rest on first use.
    """

    def store(self) -> "Store":
        """Return a new, empty Store, for code that needs no task queue."""
        package = importlib.import_module("resultstore")
        made: Store = package.connect(package.Settings(index_url="memory://", blobs_url="memory://"))
        return made

    def eager(self, app: "Celery") -> "AbstractContextManager[Store]":
        """Run each task of `app` in the process that calls it; the block gets the Store."""
        return _celery_testing().eager(app)

    def worker(self, app: "Celery") -> "AbstractContextManager[Store]":
        """Run a real worker of `app` on a thread of the test process; the block gets the Store.

        Stopping it takes some seconds: a fixture with the scope of a module or session shares it among many tests.
        """
        return _celery_testing().working(app)


def _celery_testing() -> "_CeleryTesting":
    return cast("_CeleryTesting", importlib.import_module("resultstore.backends.celery.testing"))


class _CeleryTesting(Protocol):
    """Module `resultstore.backends.celery.testing`."""

    def eager(self, app: "Celery") -> "AbstractContextManager[Store]": ...

    def working(self, app: "Celery") -> "AbstractContextManager[Store]": ...


@pytest.fixture(scope="session")
def resultstore() -> StoreTesting:
    """`resultstore.store()`, `resultstore.eager(app)` and `resultstore.worker(app)`: no server needed."""
    return StoreTesting()
