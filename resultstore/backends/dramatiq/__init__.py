"""The Dramatiq door: `setup(broker)` keeps the results of its actors, and captures what they return."""

from resultstore.backends.dramatiq.backend import ResultStoreBackend
from resultstore.backends.dramatiq.capture_middleware import Capture
from resultstore.backends.dramatiq.encoder import ArtifactEncoder
from resultstore.backends.dramatiq.setup import setup, store_of

__all__ = ["ArtifactEncoder", "Capture", "ResultStoreBackend", "setup", "store_of"]
