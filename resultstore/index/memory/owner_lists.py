"""MemoryOwnerLists: what each owner has, in this process, as Redis keeps it."""

import threading
import time

import msgspec


class _Noted(msgspec.Struct):
    """What is noted of one id: when it was made (None: not listed), and until when something of it is stored."""

    made_at: float | None
    stored_until: float


class MemoryOwnerLists:
    """Every call may come from any thread."""

    def __init__(self) -> None:
        self._noted: dict[str, dict[str, _Noted]] = {}
        self._lock = threading.Lock()

    def enlist(self, owner: str, result_id: str, *, made_at: float | None, stored_until: float) -> None:
        """Note an id; what is known of it already is only added to."""
        with self._lock:
            noted = self._noted.setdefault(owner, {}).setdefault(result_id, _Noted(None, 0.0))
            noted.made_at = made_at if noted.made_at is None else noted.made_at
            noted.stored_until = max(noted.stored_until, stored_until)

    def listed(self, owner: str) -> dict[str, float]:
        """When each listed id was made of which something is stored."""
        now = time.time()
        with self._lock:
            noted = self._noted.get(owner, {})
            return {one: it.made_at for one, it in noted.items() if it.made_at is not None and it.stored_until > now}

    def everything(self, owner: str) -> list[str]:
        """Every id that is noted."""
        with self._lock:
            return list(self._noted.get(owner, {}))

    def unlist(self, owner: str, result_ids: list[str]) -> None:
        """List these no more."""
        with self._lock:
            for one in result_ids:
                if one in self._noted.get(owner, {}):
                    self._noted[owner][one].made_at = None

    def remove(self, owner: str, result_id: str) -> None:
        """Note nothing of this id."""
        with self._lock:
            self._noted.get(owner, {}).pop(result_id, None)

    def erase(self, owner: str) -> None:
        """Note nothing of this owner."""
        with self._lock:
            self._noted.pop(owner, None)
