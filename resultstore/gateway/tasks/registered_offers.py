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
MISSED_S: Final = 1.0  # how soon a task that was not there is looked for again

_log = Log(__name__)


class RegisteredOffers(Mapping[str, Offer]):
    """A mapping that grows and shrinks with what workers register; it reads the index, so it is for threads.

    While the index is away it holds what was there before.

    Args:
        offers: all that could be offered.
        registrations: what workers have registered.
    """

    def __init__(self, offers: Offers, registrations: Registrations) -> None:
        self.known = offers  # whether a worker has registered them or not
        self._registrations = registrations
        self._registered: frozenset[str] = frozenset()
        self._looked_at = -FRESH_S
        self._lock = threading.Lock()

    def __getitem__(self, task: str) -> Offer:
        offer = self.known[task]
        if task not in self._tasks(FRESH_S) and task not in self._tasks(MISSED_S):
            raise KeyError(task)
        return offer

    def __iter__(self) -> Iterator[str]:
        known = self._tasks(MISSED_S)
        return (one for one in self.known if one in known)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _tasks(self, age_s: float) -> frozenset[str]:
        with self._lock:
            now = time.monotonic()
            if now - self._looked_at >= age_s:
                self._looked_at = now
                try:
                    self._registered = self._registrations.tasks()
                except IndexUnavailable as error:
                    _log.warning("registrations_not_read", error=str(error))
            return self._registered


def configured_offers(named: str) -> Offers:
    """Return what `RESULTSTORE_OFFERS` names: `module:name` of a mapping of Offers, or of a list of them.

    Modules of the current folder are found after all others. Raises Misconfigured.
    """
    module, _, name = named.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise Misconfigured(f"RESULTSTORE_OFFERS is `module:name` of Offers; {named!r}: {error}") from error
    offers = list(found.values() if isinstance(found, Mapping) else found)
    if not all(isinstance(one, Offer) for one in offers):
        raise Misconfigured(f"RESULTSTORE_OFFERS: {named!r} holds something that is no Offer")
    return {one.task: one for one in offers}
