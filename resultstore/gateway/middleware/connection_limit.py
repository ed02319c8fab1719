"""ConnectionLimit: how many connections may be open at a time, per address and in total."""

import functools
import ipaddress
import resource
import time
from typing import Final

from resultstore.telemetry.logs import Log

WANTED_DESCRIPTORS: Final = 65_536
# File descriptors for Redis, the object store, files and threads; at most half of all descriptors.
KEPT_DESCRIPTORS: Final = 256
_NETWORK_V6: Final = 64  # prefix length that one customer gets at least (RFC 6177)
_LOG_EVERY_S: Final = 10.0

_log = Log(__name__)


class ConnectionLimit:
    """Counts the connections of all listeners of one process. Belongs to one event loop.

    Args:
        per_address: limit for one IPv4 address or one IPv6 /64; connections without an address count in total only.
        total: limit for all connections.
    """

    def __init__(self, *, per_address: int, total: int) -> None:
        self._per_address = per_address
        self._total = total
        self._open: dict[str, int] = {}
        self._count = 0
        self._logged_at = -_LOG_EVERY_S

    def take(self, address: str) -> bool:
        """Count a connection; return False, without counting it, when a limit is reached."""
        group = _group(address)
        count = self._open.get(group, 0)
        if self._count >= self._total or (group and count >= self._per_address):
            self._log_refusal(group, count)
            return False
        self._open[group] = count + 1
        self._count += 1
        return True

    def leave(self, address: str) -> None:
        """Stop counting a connection that was taken."""
        group = _group(address)
        self._count -= 1
        self._open[group] -= 1
        if not self._open[group]:
            del self._open[group]

    def _log_refusal(self, group: str, count: int) -> None:
        now = time.monotonic()
        if now - self._logged_at < _LOG_EVERY_S:
            return
        self._logged_at = now
        _log.warning(
            "connection_refused",
            address=group,
            open_of_address=count,
            open_in_all=self._count,
            per_address=self._per_address,
            total=self._total,
            hint="behind a reverse proxy, set RESULTSTORE_CONNECTIONS_PER_ADDRESS to the connections that it opens",
        )


def connections_of(per_address: int) -> ConnectionLimit:
    """Return a limit that leaves enough file descriptors for the process itself.

    It raises the soft limit of descriptors as far as the hard limit allows.

    Args:
        per_address: the setting; one address never gets more than half of all connections.
    """
    limit = _raise_descriptor_limit()
    total = limit - min(KEPT_DESCRIPTORS, limit // 2)
    return ConnectionLimit(per_address=min(per_address, total // 2), total=total)


def _raise_descriptor_limit() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, WANTED_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    return most if soft == resource.RLIM_INFINITY else soft


@functools.lru_cache(maxsize=4096)
def _group(address: str) -> str:
    """Return the address or network that is counted together: an IPv4 address, an IPv6 /64, or ""."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _NETWORK_V6), strict=False))
