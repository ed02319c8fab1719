"""Layout: the written format's keys. The only file that makes or reads a key, of objects and of Redis.

docs/format.md is the specification; a change here is a change of `OBJECT_FORMAT` or `RECORD_FORMAT` there.
"""

import hashlib
import re
import secrets

from resultstore.model.errors import BadReference
from resultstore.model.ids import id_of

OBJECT_FORMAT = 1
RECORD_FORMAT = 1

DAY_S = 86_400
# Retention classes: what may stand as <class> in a key, and its length in seconds (None: kept until deleted).
RETENTION_S: dict[str, int | None] = {
    "1d": DAY_S,
    "7d": 7 * DAY_S,
    "30d": 30 * DAY_S,
    "365d": 365 * DAY_S,
    "keep": None,
}

LAYOUT_KEY = "layout.json"
OWNERS_COMPLETE_KEY = "rs:{owners}:complete"  # Redis: every owner's lists name all that is stored
OWNERS_REBUILT_KEY = "rs:{owners}:rebuilt"  # Redis: the last rebuilding of them that was begun
OWNERS_CLAIM_KEY = "rs:{owners}:claim"  # Redis: which gateway rebuilds them at this moment
OPEN_UPLOADS_KEY = "rs:{uploads}"  # Redis: the ids of all uploads that have not ended
UNCONFIRMED_UPLOADS_KEY = "rs:{uploads}:untold"  # Redis: those of them whose senders may never say that they are done
LATE_UPLOADS_KEY = "rs:{uploads}:late"  # Redis: those whose bytes were deleted, by when their URLs have ended
POLLING_KEY = "rs:{uploads}:glance"  # Redis: who looks at those in this moment
RECONCILING_KEY = "rs:{uploads}:round"  # Redis: who looks at them in this minute
COLLECTING_KEY = "rs:{uploads}:collecting"  # Redis: who looks at all bytes today

_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_NONCE = re.compile(r"[0-9a-f]{32}\Z")
_KEY = re.compile(r"(blobs|uploads)/(1d|7d|30d|365d|keep)/[0-9a-f]{2}/~?[A-Za-z0-9_-]{1,64}/[0-9a-f]{32}(\.\d{1,9})?\Z")


def new_nonce() -> str:
    """128 random bits in hex: the name of one attempt."""
    return secrets.token_hex(16)


def id_segment(result_id: str) -> str:
    """How an id stands in a key: as it is, or as `~` and the hex sha256 of it where it has other characters."""
    if not result_id:
        raise BadReference("an id must not be empty")
    if _PLAIN_ID.match(result_id):
        return result_id
    return "~" + hashlib.sha256(result_id.encode()).hexdigest()


def shard(result_id: str) -> str:
    """The first two hex digits of sha256(id): 256 even ranges for parallel work."""
    return hashlib.sha256(result_id.encode()).hexdigest()[:2]


def blob_key(result_id: str, *, retention: str, nonce: str, n: int) -> str:
    """The key of blob `n` of one attempt."""
    return f"blobs/{require_class(retention)}/{shard(result_id)}/{id_segment(result_id)}/{_checked_nonce(nonce)}.{n}"


def content_prefixes(result_id: str) -> list[str]:
    """What the keys of all content of an id begin with, one prefix for each kind and class."""
    tail = f"{shard(result_id)}/{id_segment(result_id)}/"
    return [f"blobs/{retention}/{tail}" for retention in RETENTION_S] + upload_prefixes(result_id)


def upload_prefixes(result_id: str) -> list[str]:
    """What the key of an upload for an id begins with, one prefix for each class."""
    return [f"uploads/{retention}/{shard(result_id)}/{id_segment(result_id)}/" for retention in RETENTION_S]


def upload_key(result_id: str, *, retention: str, nonce: str) -> str:
    """The key of one upload."""
    return f"uploads/{require_class(retention)}/{shard(result_id)}/{id_segment(result_id)}/{_checked_nonce(nonce)}"


def copied_upload_key(key: str) -> str:
    """The key of the copy of an upload, always the same one: where the sender's URL or form does not write."""
    folder, _, nonce = key.rpartition("/")
    return f"{folder}/{hashlib.sha256(nonce.encode()).hexdigest()[: len(nonce)]}"


def id_of_upload_key(key: str) -> str:
    """The id in the key of an upload, as `id_segment` writes it; ids that we make for uploads stand as they are."""
    return key.split("/")[3]


def seal_key(result_id: str) -> str:
    """The key of the seal of a Result."""
    return f"seals/{shard(result_id)}/{id_segment(result_id)}"


def is_content_key(key: str) -> bool:
    """Whether this layout makes `key` for content (a blob or an upload): what a reference or a URL may name."""
    return _KEY.match(key) is not None


def require_class(retention: str) -> str:
    """`retention` itself when it is a known class; raises BadReference otherwise."""
    if retention not in RETENTION_S:
        raise BadReference(f"unknown retention class {retention!r}: use one of {', '.join(RETENTION_S)}")
    return retention


def first_class(*given: str | None) -> str:
    """The first class that was given, not None. Raises BadReference when it is not a known one, as "" is not."""
    return require_class(next(one for one in given if one is not None))


def shortest_class(length_s: float, *, least: str = "1d") -> str:
    """Return the shortest class, `least` or longer, that keeps something for `length_s` seconds."""
    names = list(RETENTION_S)
    lengths_s = ((name, RETENTION_S[name]) for name in names[names.index(least) :])
    return next(name for name, kept_s in lengths_s if kept_s is None or kept_s >= length_s)


def expiry(retention: str, *, start: float) -> int | None:
    """When something of this class that began at `start` (epoch seconds) expires, or None."""
    length_s = RETENTION_S[require_class(retention)]
    return None if length_s is None else int(start) + length_s


def record_key(result_id: str) -> str:
    """Redis: the record. The braces keep all keys of an id in one Cluster slot."""
    return f"rs:{{{result_id}}}"


def beside_key(result_id: str) -> str:
    """Redis: what is too big for the record and never read by a state poll."""
    return f"rs:{{{result_id}}}:+"


def order_key(result_id: str) -> str:
    """Redis: the order that led to a Result, kept so that the work can be ordered again."""
    return f"rs:{{{result_id}}}:order"


def ticket_key(result_id: str) -> str:
    """Redis: what is remembered of an upload."""
    return f"rs:{{{result_id}}}:upload"


def claim_key(result_id: str) -> str:
    """Redis: who completes an upload at this moment."""
    return f"rs:{{{result_id}}}:claim"


def runs_key(result_id: str) -> str:
    """Redis: how many redelivered runs of a task have started and not ended."""
    return f"rs:{{{result_id}}}:runs"


def webhooks_key(part: str) -> str:
    """Redis: the webhooks that have not been sent: "hooks" themselves, and the ids that are "waiting" or "due"."""
    return f"rs:{{webhooks}}:{part}"


def id_of_record_key(key: str) -> str | None:
    """The id whose record stands under `key`; None for any other key."""
    return key[4:-1] if key.startswith("rs:{") and key.endswith("}") else None


def channel(result_id: str) -> str:
    """Redis: the channel on which every transition of an id is announced."""
    return f"rs:{{{result_id}}}!"


def group_key(group_id: str, part: str = "") -> str:
    """Redis: what a door keeps of a group or a chord; `part` is Celery's suffix (`.j`, `.s` ...), "" the group."""
    return f"rs:group:{{{id_of(group_id)}}}{part}"


def workflow_key(root_id: str) -> str:
    """Redis: the set of ids that came of one root."""
    return f"rs:workflow:{{{id_of(root_id)}}}"


def outbox_key(senders: str) -> str:
    """Redis: the sorted set of groups whose chord's body may wait for these senders, by the end of a lease."""
    return f"rs:outbox:{{{hashlib.sha256(senders.encode()).hexdigest()[:16]}}}"


def owner_key(owner: str) -> str:
    """Redis: the sorted set of an owner's ids, scored by the time they were made."""
    return f"rs:owner:{{{owner}}}"


def owner_stored_key(owner: str) -> str:
    """Redis: the sorted set of the ids of which bytes of an owner are stored, scored by when they expire."""
    return f"rs:owner:{{{owner}}}:stored"


def owner_patterns(owner: str) -> list[str]:
    """Redis: patterns of the keys that are kept of an owner beyond the lists and the stream."""
    return [re.sub(r"([\\*?\[\]^])", r"\\\1", one) + "*" for one in owner_prefixes(owner)]


def owner_prefixes(owner: str) -> tuple[str, ...]:
    """Redis: what those keys begin with."""
    return (quota_key(owner, ""), idempotency_key(owner, ""))


def owner_stream_key(owner: str) -> str:
    """Redis: the stream of an owner's Events."""
    return f"rs:events:{{{owner}}}"


def owner_channel(owner: str) -> str:
    """Redis: the channel of an owner's Events, each with its id in the stream; of "" for what nobody owns."""
    return f"rs:events:{{{owner}}}!"


def quota_key(owner: str, kind: str) -> str:
    """Redis: what an owner has of one kind at the moment (tickets, running work, streams ...)."""
    return f"rs:quota:{{{owner}}}:{kind}"


def registered_key(queue: str) -> str:
    """Redis: which tasks the workers of a queue have registered, by the queue's digest."""
    return f"rs:{{tasks}}:{hashlib.sha256(queue.encode()).hexdigest()[:32]}"


def idempotency_key(owner: str, digest: str) -> str:
    """Redis: which id an owner's Idempotency-Key stands for, by the key's digest."""
    return f"rs:once:{{{owner}}}:{digest}"


def _checked_nonce(nonce: str) -> str:
    if not _NONCE.match(nonce):
        raise BadReference(f"a nonce is 32 hex digits, not {nonce!r}")
    return nonce
