"""Index rights: checks that the Redis user may write, lock and publish, not only read."""

import time

from resultstore.index.index import Index, ScriptRunner
from resultstore.index.leases import Leases
from resultstore.model import layout
from resultstore.model.errors import IndexUnavailable
from resultstore.model.result import Result, State
from resultstore.ops.doctor import PROBE_ID, Defect, Probe, index_answers
from resultstore.ops.index_memory import find_full

_ANNOUNCED_WITHIN_S = 5.0
_LIFE_S = 60
# The rights of a user in Redis's ACL, as `ACL SETUSER` takes them; docs/how-to/deploy.md explains them.
RIGHTS = "~rs:* &rs:* +@read +@write +@pubsub +@connection +@scripting +time -@dangerous +info"
_CHANNELS = f"add &rs:* to the ACL rule of this user; it needs {RIGHTS} (docs/how-to/deploy.md)"
_KEYS = f"give this user the rights {RIGHTS} (docs/how-to/deploy.md)"
_NO_RIGHTS_HELP = ("maxmemory", "read only replica")  # what Redis refuses to any user


def index_probes(index: Index) -> dict[str, Probe]:
    """Return the check of the index with the rights that resultstore needs."""
    return {"index": lambda: serves(index)}


def serves(index: Index) -> str | Defect:
    """Check that the index answers, publishes announcements and accepts writes. Raises IndexUnavailable."""
    answers, full = index_answers(index), find_full(index)
    if full is not None:
        return full
    announced = may_announce(index)
    if isinstance(announced, Defect):
        return announced
    return may_write(index) or f"{answers}, {announced}"


def may_write(index: Index) -> Defect | None:
    """Try each kind of write that resultstore makes; all test keys are deleted, or expire in a minute."""
    probe = _probe(owner=PROBE_ID)
    key, lease = layout.claim_key(probe.id), layout.quota_key(PROBE_ID, "probe")
    try:
        index.save(probe, ttl_s=_LIFE_S)
        list(index.listing.ids(owner=PROBE_ID, limit=1))
        list(index.listing.ids(limit=1))
        index.owners.remove_deleted(probe.id, owner=PROBE_ID)
        index.keys.keep(key, b"probe", ttl_s=_LIFE_S)
        index.keys.read(key)
        index.keys.drop(key)
        index.keys.claim(key, PROBE_ID, ttl_s=_LIFE_S)
        if isinstance(index.keys, ScriptRunner):
            Leases(index).take(lease, probe.id, ttl_s=_LIFE_S, most=1_000)
            Leases(index).release(lease, probe.id)
        index.delete(probe.id)
    except IndexUnavailable as error:
        return _refused(error)
    return None


def may_announce(index: Index) -> str | Defect:
    """Announce a change and wait for it; without channels, waiters only find a change at their next poll."""
    probe = _probe()
    began = time.monotonic()
    try:
        with index.events.watch(probe.id) as watch:
            index.save(probe, ttl_s=_LIFE_S)
            event = watch.wait(_ANNOUNCED_WITHIN_S)
        index.delete(probe.id)
    except IndexUnavailable as error:
        return _refused(error)
    if event is None:
        return Defect(
            "announcements do not arrive: waiters notice changes at their next poll, up to 2 s later", _CHANNELS
        )
    return f"announcements arrive in {1000 * (time.monotonic() - began):.1f} ms"


def _refused(error: IndexUnavailable) -> Defect:
    text, _, remedy = str(error).rpartition(": ")
    if "channel" in text:
        return Defect(f"announcements do not arrive: {text}", _CHANNELS)
    return Defect(text, remedy if any(sign in text for sign in _NO_RIGHTS_HELP) else _KEYS)


def _probe(*, owner: str = "") -> Result:
    return Result(id=f"{PROBE_ID}-{layout.new_nonce()}", state=State.STARTED, owner=owner, changed_at=time.time())
