"""The Celery door: `Celery(backend="resultstore+redis://...")`, then `setup(app)` for capture."""

from resultstore.backends.celery.lazy import LazyParts
from resultstore.backends.celery.setup import setup, store_of

__all__ = ["LazyParts", "setup", "store_of"]
