"""Shop: a Django project whose reports stand in an object store."""

from shop.celery import app

__all__ = ["app"]
