"""Borrowed: the Celery app in whose name a command acts."""

from celery import Celery
from celery.app.utils import find_app

from resultstore.backends.celery import store_of
from resultstore.backends.celery.chord.header import ChordHeader, header_of
from resultstore.backends.celery.chord.outbox import ChordStatus
from resultstore.model.errors import Misconfigured
from resultstore.settings import Settings


def borrowed_app(name: str | None) -> Celery:
    """The app of `name` (`shop` or `shop:app`, as in `celery -A`), else one by RESULTSTORE_*.

    Raises Misconfigured when there is none, or when it keeps its results elsewhere.
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


def seen(app: Celery, group_id: str) -> ChordHeader:
    """The chord as it stands. Raises ResultMissing."""
    return header_of(app.backend, group_id)


def dispatched(app: Celery, group_id: str) -> bool:
    """Send the body of a chord whose parts are all in, whoever else is about to; whether it could be sent."""
    return app.backend.groups.dispatch_chord(group_id) is ChordStatus.MINE
