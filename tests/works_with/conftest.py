"""An app of ours on a real Redis, with a worker on a thread of this process, for each library."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from celery import Celery
from celery.contrib.testing.worker import start_worker

from resultstore.backends.celery import setup

WAIT_S = 30
LARGE = 30_000  # over `inline_max_bytes`: it travels as a reference


@pytest.fixture(scope="module")
def app(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Celery]:
    """An app of the module's own: messages in memory, records in Redis, large values in a folder."""
    name = f"works-with-{uuid.uuid4().hex}"
    made = Celery(name, broker="memory://", backend=f"resultstore+{redis_url}", set_as_current=False)
    made.conf.update(
        task_default_queue=name,
        broker_transport_options={"polling_interval": 0.01},
        resultstore_blobs_url=f"file://{tmp_path_factory.mktemp('blobs')}",
    )
    setup(made)
    yield made
    made.close()


@pytest.fixture
def at_work(app: Celery) -> Iterator[Callable[[], None]]:
    """Starts the worker when it is called; it ends with the test."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(working(app))


@contextmanager
def working(app: Celery) -> Iterator[None]:
    with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=WAIT_S):
        yield
