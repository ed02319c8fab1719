"""Offers of tasks, and orders of work for a task queue. Each backend brings its own Dispatcher."""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from resultstore.dispatch.offers import Offer, Offers, Options
    from resultstore.dispatch.orders import Dispatcher, Order, announce, withdraw

__all__ = ["Dispatcher", "Offer", "Offers", "Options", "Order", "announce", "withdraw"]

_MODULES: Final = dict.fromkeys(("Offer", "Offers", "Options"), "resultstore.dispatch.offers") | dict.fromkeys(
    ("Dispatcher", "Order", "announce", "withdraw"), "resultstore.dispatch.orders"
)


def __getattr__(name: str) -> object:
    # Workers import this package for its registrations, and need no pydantic.
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
