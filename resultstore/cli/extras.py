"""Rooms: parts of the command line that need an extra, entered only when their command is called."""

import importlib
from types import ModuleType

from resultstore.model.errors import Misconfigured


def enter(module: str, *, extra: str) -> ModuleType:
    """Import `module`; raises Misconfigured, naming the extra to install, when something it needs is not there."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "resultstore":
            raise
        raise Misconfigured(f"{error.name} is not installed: run pip install 'resultstore[{extra}]'") from error
