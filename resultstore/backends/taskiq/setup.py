"""setup: prepares a taskiq broker, so that its tasks can return large outputs."""

from collections.abc import Iterable
from typing import Any

from taskiq import AsyncBroker, AsyncTaskiqDecoratedTask

from resultstore.backends.taskiq.backend import ResultStoreBackend
from resultstore.backends.taskiq.capture_middleware import CaptureMiddleware
from resultstore.backends.taskiq.formatter import ArtifactFormatter
from resultstore.backends.taskiq.woken_tasks import WokenDecoratedTask
from resultstore.capture.adapters import Adapter, Adapters
from resultstore.model.errors import Misconfigured
from resultstore.store import Store


def setup(broker: AsyncBroker, *, adapters: Iterable[Adapter] = ()) -> None:
    """Capture the large outputs of the broker's tasks.

    A task may return an `Output`, a generator or async generator of bytes, an open binary file or a `Path`. It is
    streamed into the store, and its Artifact takes its place.

    Call it once, after the other middlewares and before the tasks: `wait_result` is then woken by announcements.

    Args:
        broker: whose tasks are captured.
        adapters: write other objects that tasks return as files, such as `resultstore.LIBRARY_ADAPTERS`. A second call
            only replaces those of the first.

    Raises Misconfigured when the broker has another result backend.
    """
    backend = _backend(broker)
    capturing = next((one for one in broker.middlewares if isinstance(one, CaptureMiddleware)), None)
    if capturing is not None:
        capturing.adapters = Adapters(adapters)
        return
    broker.formatter = ArtifactFormatter(broker.formatter)
    broker.add_middlewares(CaptureMiddleware(backend, adapters=adapters))
    if broker.decorator_class is AsyncTaskiqDecoratedTask:
        broker.decorator_class = WokenDecoratedTask


def store_of(broker: AsyncBroker) -> Store:
    """Return the Store of the broker's result backend. Raises Misconfigured when it has another backend."""
    return _backend(broker).store


def _backend(broker: AsyncBroker) -> ResultStoreBackend[Any]:
    backend = broker.result_backend
    if not isinstance(backend, ResultStoreBackend):
        raise Misconfigured(
            "the broker has another result backend: call broker.with_result_backend(ResultStoreBackend()) first"
        )
    return backend
