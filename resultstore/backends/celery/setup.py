"""Setup: one call that lets an app's tasks return large outputs."""

from celery import Celery

from resultstore.backends.celery import artifacts, capturing
from resultstore.model.errors import Misconfigured
from resultstore.store import Store


def setup(app: Celery) -> None:
    """Capture what the tasks of `app` return: an `Output`, a generator of bytes, an open binary file or a `Path`
    is streamed into the store, and its Artifact travels in its place.

    Call it once, where the app is made; task classes and decorators stay as they are.
    """
    artifacts.register()
    capturing.install(app)


def store_of(app: Celery) -> Store:
    """The Store behind the app's result backend. Raises Misconfigured when it has another backend."""
    store = getattr(app.backend, "store", None)
    if not isinstance(store, Store):
        raise Misconfigured("the app's result backend is not resultstore: set it to resultstore+redis://host:6379/0")
    return store
