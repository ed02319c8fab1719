"""Connections: how many may be open at a time, from one address and in all."""

import functools
import ipaddress
import resource
import time
from typing import Final

from resultstore.telemetry.logs import Log

WANTED_DESCRIPTORS: Final = 65_536
# Descriptors for Redis, the object store, files and threads; where there are few of them, half.
KEPT_DESCRIPTORS: Final = 256
_NETWORK_V6: Final = 64  # what one customer is given at least (RFC 6177)
_TELL_EVERY_S: Final = 10.0

_log = Log(__name__)


class ConnectionLimit:
    """Counts the connections of all listeners of one process. Belongs to one event loop.

    Args:
        per_address: from one IPv4 address, or one IPv6 network of 64 bits; connections without one count in all only.
        total: in all.
    """

    def __init__(self, *, per_address: int, total: int) -> None:
        self._per_address = per_address
        self._total = total
        self._open: dict[str, int] = {}
        self._count = 0
        self._told_at = -_TELL_EVERY_S

    def take(self, address: str) -> bool:
        """Count a connection; return False, and count nothing, when there are too many."""
        group = _group(address)
        count = self._open.get(group, 0)
        if self._count >= self._total or (group and count >= self._per_address):
            self._tell(group, count)
            return False
        self._open[group] = count + 1
        self._count += 1
        return True

    def leave(self, address: str) -> None:
        """Count a connection no longer that was taken."""
        group = _group(address)
        self._count -= 1
        self._open[group] -= 1
        if not self._open[group]:
            del self._open[group]

    def _tell(self, group: str, count: int) -> None:
        now = time.monotonic()
        if now - self._told_at < _TELL_EVERY_S:
            return
        self._told_at = now
        _log.warning(
            "connection_refused",
            address=group,
            open_of_address=count,
            open_in_all=self._count,
            per_address=self._per_address,
            total=self._total,
            hint="behind a proxy set RESULTSTORE_CONNECTIONS_PER_ADDRESS to what it needs",
        )


def connections_of(per_address: int) -> ConnectionLimit:
    """Return a counter that leaves the process as many descriptors as it needs for itself.

    Raises the soft limit of descriptors where the hard one allows it.

    Args:
        per_address: the setting; never more than half of all are taken by one address.
    """
    limit = _raised_limit()
    total = limit - min(KEPT_DESCRIPTORS, limit // 2)
    return ConnectionLimit(per_address=min(per_address, total // 2), total=total)


def _raised_limit() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, WANTED_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    return most if soft == resource.RLIM_INFINITY else soft


@functools.lru_cache(maxsize=4096)
def _group(address: str) -> str:
    """Return what is counted together: an IPv4 address, the /64 of an IPv6 one, "" for neither."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _NETWORK_V6), strict=False))
