"""Fixtures: what pytest offers to projects that use resultstore. No server is needed."""

import importlib
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, cast

import pytest

if TYPE_CHECKING:
    from celery import Celery

    from resultstore.store import Store


class Trial:
    """A Store in memory, and ways to run the tasks of a Celery app without a server.

    pytest loads this file in every project where resultstore is installed: the rest is loaded when a test asks.
    """

    def store(self) -> "Store":
        """A new Store, empty, for code that needs no task queue."""
        face = importlib.import_module("resultstore")
        made: Store = face.connect(face.Settings(index_url="memory://", blobs_url="memory://"))
        return made

    def eager(self, app: "Celery") -> "AbstractContextManager[Store]":
        """Run each task of `app` where it is called; gives the Store."""
        return _trial().eager(app)

    def worker(self, app: "Celery") -> "AbstractContextManager[Store]":
        """Run a real worker of `app` on a thread of the tests; gives the Store.

        Some seconds pass until it has ended: a fixture of your module's or session's scope lets many tests share it.
        """
        return _trial().working(app)


def _trial() -> "_CeleryTrial":
    return cast("_CeleryTrial", importlib.import_module("resultstore.backends.celery.testing"))


class _CeleryTrial(Protocol):
    """`resultstore.backends.celery.testing`."""

    def eager(self, app: "Celery") -> "AbstractContextManager[Store]": ...

    def working(self, app: "Celery") -> "AbstractContextManager[Store]": ...


@pytest.fixture(scope="session")
def resultstore() -> Trial:
    """`resultstore.store()`, `resultstore.eager(app)` and `resultstore.worker(app)`: no server needed."""
    return Trial()
