"""taskiq integration: `broker.with_result_backend(ResultStoreBackend())`, then `setup(broker)` for capture."""

from resultstore.backends.taskiq.backend import ResultStoreBackend
from resultstore.backends.taskiq.setup import setup, store_of

__all__ = ["ResultStoreBackend", "setup", "store_of"]
