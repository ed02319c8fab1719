"""Name that `resultstore.backends.celery.testing` had in the last release; it goes with the next one."""

import warnings

from resultstore.backends.celery.testing import eager, working

__all__ = ["eager", "working"]

warnings.warn(
    "resultstore.backends.celery.trial is named resultstore.backends.celery.testing now",
    DeprecationWarning,
    stacklevel=2,
)
