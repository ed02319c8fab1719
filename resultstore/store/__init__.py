"""The Store: what users hold, and the pieces it is made of."""

from resultstore.store.store import Store

__all__ = ["Store"]
