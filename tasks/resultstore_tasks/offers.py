"""Offers of the shipped tasks, collected from each `resultstore_tasks/<kind>/offer.py`."""

import importlib
import importlib.util
import pkgutil
from typing import Final

import resultstore_tasks
from resultstore import Offers
from resultstore_tasks.declaration import ShippedOffer

_PACKAGES: Final = tuple(
    f"resultstore_tasks.{one.name}"
    for one in pkgutil.iter_modules(resultstore_tasks.__path__)
    if one.ispkg and importlib.util.find_spec(f"resultstore_tasks.{one.name}.offer")
)

TASK_MODULES: Final = tuple(f"{package}.task" for package in _PACKAGES)
"""Modules whose import registers the tasks that are offered; they load the libraries that the work needs."""


def _collect() -> Offers:
    found = {
        value.task: value
        for package in _PACKAGES
        for value in vars(importlib.import_module(f"{package}.offer")).values()
        if isinstance(value, ShippedOffer)
    }
    return dict(sorted(found.items(), key=lambda one: (one[1].position, one[0])))


offers: Final[Offers] = _collect()
