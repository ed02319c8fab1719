"""Fork: the copy of the library obstore whose threads run in this process."""

import functools
import importlib.machinery
import importlib.util
import os
import shutil
import tempfile
from pathlib import Path
from types import ModuleType

from obstore import _obstore


def live_obstore() -> ModuleType:
    """Return the module whose functions (get, put, head, list, delete, open_writer) and `_store.S3Store` work here.

    obstore runs its requests on the threads of a runtime that is made once per loaded library. A fork copies the
    runtime without its threads, and every call in the child hangs forever (tokio-rs/tokio#4301). Celery's consumer
    reads a seal when a child was killed, then forks the next child. So each child loads a copy of the library.
    """
    return _library_for(os.getpid())


@functools.cache
def _library_for(pid: int) -> ModuleType:  # noqa: ARG001  the key: a fork inherits the cache and asks with another pid
    inherited = _library_for.cache_info().currsize > 0
    return _fresh_copy() if inherited else _obstore


def _fresh_copy() -> ModuleType:
    """Load the extension once more, from another path: the loader then gives it statics of its own (10 ms)."""
    original = Path(str(_obstore.__file__))
    with tempfile.TemporaryDirectory(prefix="resultstore-") as folder:
        path = shutil.copy(original, folder)
        loader = importlib.machinery.ExtensionFileLoader("_obstore", path)
        spec = importlib.util.spec_from_file_location("_obstore", path, loader=loader)
        if spec is None:
            raise ImportError(f"cannot load {original.name} again after a fork")
        module = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
    return module
