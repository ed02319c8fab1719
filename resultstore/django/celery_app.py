"""The project's Celery app, and the Store of its result backend."""

from celery import Celery, current_app
from celery.app.utils import find_app
from django.conf import settings

from resultstore.backends.celery import store_of
from resultstore.model.errors import Misconfigured
from resultstore.store import Store


def celery_app() -> Celery:
    """Return the app that the setting RESULTSTORE_CELERY_APP names (`shop.celery:app`), or the current one.

    Raises Misconfigured if there is no app of that name.
    """
    name = getattr(settings, "RESULTSTORE_CELERY_APP", "")
    if not name:
        return current_app._get_current_object()  # noqa: SLF001 - Celery's own way
    try:
        # Without the tasks' modules: to import them, Celery runs Django's checks, and a check needs this app.
        return find_app(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise Misconfigured(f"no Celery app is found ({error}): correct the setting RESULTSTORE_CELERY_APP") from error


def project_store() -> Store:
    """Return the Store of the project's Celery app. Raises Misconfigured if its result backend is not resultstore."""
    return store_of(celery_app())
