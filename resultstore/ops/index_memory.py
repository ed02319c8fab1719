"""Index memory: checks that Redis has memory left, and evicts no key that must be kept."""

from typing import Final

from resultstore.index.index import Index, MemoryReporter, MemoryUse
from resultstore.model.errors import IndexUnavailable
from resultstore.ops.doctor import Defect, Probe, Verdict

_MIB: Final = 1024 * 1024
_NEARLY_FULL: Final = 0.9
_REMEDY_FULL: Final = "raise maxmemory in redis.conf, or delete what other programs keep there"
_REMEDY_POLICY: Final = "set maxmemory-policy to noeviction or volatile-ttl in redis.conf"


def memory_probes(index: Index) -> dict[str, Probe]:
    """Return the check of the index's memory; none for an index that has no server."""
    return {"index memory": lambda: check_memory(index)} if isinstance(index, MemoryReporter) else {}


def check_memory(index: MemoryReporter) -> str | Defect:
    """Check the memory limit and the eviction policy of each server."""
    try:
        servers = index.memory()
    except IndexUnavailable as error:
        text = f"not checked: {str(error).rpartition(': ')[0]}"
        return Defect(text, "add +info to the ACL rule of this user", Verdict.WARNING)
    for one in servers:
        if found := _defect_of(one):
            return found
    return ", ".join(_described(one) for one in servers)


def find_full(index: Index) -> Defect | None:
    """Return the defect of a server that refuses writes because its memory is full; None if there is none."""
    try:
        servers = index.memory() if isinstance(index, MemoryReporter) else []
    except IndexUnavailable:
        return None
    return next((_full(one) for one in servers if _is_full(one)), None)


def _defect_of(use: MemoryUse) -> Defect | None:
    if use.policy.startswith("allkeys-"):
        if not use.limit_bytes:
            text = f"maxmemory-policy is {use.policy}: with a maxmemory, Redis would evict records and locks"
            return Defect(text, _REMEDY_POLICY, Verdict.WARNING)
        text = f"maxmemory-policy is {use.policy}: Redis evicts records and locks before their time"
        return Defect(text, _REMEDY_POLICY)
    if _is_full(use):
        return _full(use)
    if use.policy == "noeviction" and use.limit_bytes and use.used_bytes >= _NEARLY_FULL * use.limit_bytes:
        return Defect(f"nearly full: {_described(use)}", _REMEDY_FULL, Verdict.WARNING)
    return None


def _is_full(use: MemoryUse) -> bool:
    return use.policy == "noeviction" and 0 < use.limit_bytes <= use.used_bytes


def _full(use: MemoryUse) -> Defect:
    return Defect(f"Redis is full and refuses writes: {_described(use)}", _REMEDY_FULL)


def _described(use: MemoryUse) -> str:
    limit = f"of {use.limit_bytes / _MIB:.1f} MiB" if use.limit_bytes else "used, no limit"
    return f"{use.used_bytes / _MIB:.1f} MiB {limit}, policy {use.policy or 'unknown'}"
