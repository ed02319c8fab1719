"""The project's Celery app, and the Store of its result backend."""

from celery import Celery, current_app
from django.conf import settings

from resultstore import Store
from resultstore.backends.celery import store_of
from resultstore.backends.celery.doctoring import find_app_named


def celery_app() -> Celery:
    """Return the app that the setting RESULTSTORE_CELERY_APP names (`shop.celery:app`), or the current one.

    Raises Misconfigured if there is no app of that name.
    """
    name = getattr(settings, "RESULTSTORE_CELERY_APP", "")
    return find_app_named(name) if name else current_app._get_current_object()  # noqa: SLF001 - Celery's own way


def project_store() -> Store:
    """Return the Store of the project's Celery app. Raises Misconfigured if its result backend is not resultstore."""
    return store_of(celery_app())
