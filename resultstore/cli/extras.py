"""Imports of the modules that need an extra, made when a command needs them."""

import importlib
from types import ModuleType

from resultstore.model.errors import Misconfigured


def require_extra(module: str, *, extra: str) -> ModuleType:
    """Import `module`. Raises Misconfigured, naming the extra to install, when a package that it needs is missing."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "resultstore":
            raise
        raise Misconfigured(f"{error.name} is not installed: run pip install 'resultstore[{extra}]'") from error
