"""The HTTP gateway: `create_app` makes its ASGI application, `serve` runs its listeners."""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from resultstore.gateway.app import create_app
    from resultstore.gateway.identity.caller import Caller
    from resultstore.gateway.listeners import serve
    from resultstore.gateway.local_bytes.app import create_bytes_app

__all__ = ["Caller", "create_app", "create_bytes_app", "serve"]

_MODULES: Final = {
    "Caller": "resultstore.gateway.identity.caller",
    "create_app": "resultstore.gateway.app",
    "create_bytes_app": "resultstore.gateway.local_bytes.app",
    "serve": "resultstore.gateway.listeners",
}


def __getattr__(name: str) -> object:
    # A module of this package must not load all of it: FastAPI, uvicorn and the metrics cost half a second.
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
