"""Shop: a Django project that keeps its reports in an object store."""

from shop.celery import app

__all__ = ["app"]
