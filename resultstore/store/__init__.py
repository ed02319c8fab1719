"""The Store, the client object that users call, and its parts. No HTTP, no queue and no driver is imported here."""

from resultstore.store.store import Store

__all__ = ["Store"]
