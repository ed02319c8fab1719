"""Dramatiq integration: `setup(broker)` stores the results of its actors, and captures what they return."""

import warnings

from resultstore.backends.dramatiq.backend import ResultStoreBackend
from resultstore.backends.dramatiq.capture_middleware import CaptureMiddleware
from resultstore.backends.dramatiq.encoder import ArtifactEncoder
from resultstore.backends.dramatiq.setup import setup, store_of

__all__ = ["ArtifactEncoder", "CaptureMiddleware", "ResultStoreBackend", "setup", "store_of"]


def __getattr__(name: str) -> object:
    """Return `CaptureMiddleware` by its name of the last release."""
    if name != "Capture":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn("Capture is named CaptureMiddleware now", DeprecationWarning, stacklevel=2)
    return CaptureMiddleware
