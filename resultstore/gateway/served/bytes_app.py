"""Name that `resultstore.gateway.local_bytes.app` had in the last release; it goes with the next one."""

import warnings

from resultstore.gateway.local_bytes.app import create_bytes_app

__all__ = ["create_bytes_app"]

warnings.warn(
    "resultstore.gateway.served.bytes_app is named resultstore.gateway.local_bytes.app now",
    DeprecationWarning,
    stacklevel=2,
)
