"""The Celery door: `Celery(backend="resultstore+redis://...")`, then `setup(app)` for capture."""

from resultstore.backends.celery.setup import setup, store_of

__all__ = ["setup", "store_of"]
