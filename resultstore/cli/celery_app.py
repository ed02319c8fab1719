"""The Celery app that the command `chord` uses."""

from celery import Celery
from celery.app.utils import find_app

from resultstore.backends.celery import store_of
from resultstore.backends.celery.capture.registry import is_installed
from resultstore.backends.celery.chord.chord_outbox import ChordStatus
from resultstore.backends.celery.chord.header import ChordHeader, read_header
from resultstore.model.errors import Misconfigured
from resultstore.settings import Settings


def load_app(name: str | None) -> Celery:
    """Return the app of `name` (`shop` or `shop:app`, as in `celery -A`), or by default one made from RESULTSTORE_*.

    Raises Misconfigured when there is no such app, or when its result backend is another one.
    """
    if name is None:
        settings = Settings()
        return Celery(
            "resultstore", broker=settings.broker.url, backend=f"resultstore+{settings.index.url}", set_as_current=False
        )
    try:
        app: Celery = find_app(name)
    except (ImportError, AttributeError) as error:
        raise Misconfigured(
            f"there is no Celery app {name!r} ({error}): write module or module:app, as for -A"
        ) from None
    store_of(app)
    return app


def read_chord(app: Celery, group_id: str) -> ChordHeader:
    """Return the state of the chord. Raises ResultMissing."""
    return read_header(app.backend, group_id)


def dispatch_body(app: Celery, group_id: str) -> bool:
    """Send the body of a chord whose parts are all in, and return whether it was sent.

    Takes over the lease of a worker that is about to send it.
    """
    return app.backend.groups.dispatch_chord(group_id) is ChordStatus.MINE


def load_own_app(name: str) -> Celery:
    """Return the app of `name`, as `load_app` does, in which the tasks of a gateway can run.

    Raises Misconfigured also when `setup(app)` was not called: its workers would not check uploads.
    """
    app = load_app(name)
    if not is_installed(app):
        raise Misconfigured(
            f"the Celery app {name!r} does not capture outputs: call resultstore.backends.celery.setup(app) where it "
            "is made"
        )
    return app
