"""RegisteredOffers: the offers whose tasks a worker has registered."""

import importlib
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from resultstore.dispatch.offers import Offer, Offers
from resultstore.dispatch.registrations import Registrations
from resultstore.model.errors import IndexUnavailable, Misconfigured
from resultstore.telemetry.logs import Log

FRESH_S: Final = 10.0
MISSED_S: Final = 1.0  # how soon an unknown task is looked up again

_log = Log(__name__)


class RegisteredOffers(Mapping[str, Offer]):
    """A mapping of the offers whose tasks are registered. It reads the index, so use it in threads only.

    While the index is unavailable, it keeps the last known registrations.

    Args:
        offers: all configured offers.
        registrations: the tasks that workers have registered.
    """

    def __init__(self, offers: Offers, registrations: Registrations) -> None:
        self.known = offers  # also those that no worker has registered
        self._registrations = registrations
        self._registered: frozenset[str] = frozenset()
        self._read_at = -FRESH_S
        self._lock = threading.Lock()

    def __getitem__(self, task: str) -> Offer:
        offer = self.known[task]
        if task not in self._registered_tasks(FRESH_S) and task not in self._registered_tasks(MISSED_S):
            raise KeyError(task)
        return offer

    def __iter__(self) -> Iterator[str]:
        known = self._registered_tasks(MISSED_S)
        return (one for one in self.known if one in known)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _registered_tasks(self, age_s: float) -> frozenset[str]:
        with self._lock:
            now = time.monotonic()
            if now - self._read_at >= age_s:
                self._read_at = now
                try:
                    self._registered = self._registrations.tasks()
                except IndexUnavailable as error:
                    _log.warning("registrations_not_read", error=str(error))
            return self._registered


def configured_offers(named: str) -> Offers:
    """Return the offers that `RESULTSTORE_OFFERS` or `--offers` names: `module:name` of a mapping or a list of Offers.

    Modules in the current folder are found after all others. Raises Misconfigured.
    """
    module, _, name = named.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise Misconfigured(
            f"--offers or RESULTSTORE_OFFERS must be `module:name` of Offers; {named!r}: {error}"
        ) from error
    offers = list(found.values() if isinstance(found, Mapping) else found)
    if not all(isinstance(one, Offer) for one in offers):
        raise Misconfigured(f"--offers or RESULTSTORE_OFFERS: {named!r} contains an object that is not an Offer")
    return {one.task: one for one in offers}
