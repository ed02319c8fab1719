"""Layout of the written format: the keys of all objects and of all Redis data. No other file makes or parses one.

docs/format.md is its specification. A change here changes `OBJECT_FORMAT` or `RECORD_FORMAT`.
"""

import hashlib
import re
import secrets

from resultstore.model.errors import BadReference
from resultstore.model.ids import id_of

OBJECT_FORMAT = 1
RECORD_FORMAT = 1

DAY_S = 86_400
# Retention classes: `<class>` in a key, and its length in seconds (None: kept until deleted).
RETENTION_S: dict[str, int | None] = {
    "1d": DAY_S,
    "7d": 7 * DAY_S,
    "30d": 30 * DAY_S,
    "365d": 365 * DAY_S,
    "keep": None,
}

LAYOUT_KEY = "layout.json"
OWNERS_COMPLETE_KEY = "rs:{owners}:complete"  # Redis: set once every owner's lists name all that is stored
OWNERS_REBUILT_KEY = "rs:{owners}:rebuilt"  # Redis: when their last rebuild was begun
OWNERS_CLAIM_KEY = "rs:{owners}:claim"  # Redis: lease of the gateway that rebuilds them
OPEN_UPLOADS_KEY = "rs:{uploads}"  # Redis: ids of all uploads that have not ended
UNCONFIRMED_UPLOADS_KEY = "rs:{uploads}:untold"  # Redis: those whose clients may never confirm them
LATE_UPLOADS_KEY = "rs:{uploads}:late"  # Redis: those whose bytes were deleted, by expiry of their URLs
POLLING_KEY = "rs:{uploads}:glance"  # Redis: lease of the gateway that polls those; words: KEPT a written key
RECONCILING_KEY = "rs:{uploads}:round"  # Redis: lease of the gateway that reconciles all open uploads
COLLECTING_KEY = "rs:{uploads}:collecting"  # Redis: lease of the gateway that collects abandoned bytes today

_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_NONCE = re.compile(r"[0-9a-f]{32}\Z")
_KEY = re.compile(r"(blobs|uploads)/(1d|7d|30d|365d|keep)/[0-9a-f]{2}/~?[A-Za-z0-9_-]{1,64}/[0-9a-f]{32}(\.\d{1,9})?\Z")
_SHARE = re.compile(r"shares/[0-9a-f]{2}/~?[A-Za-z0-9_-]{1,64}/([0-9a-f]{32})\.(1d|7d|30d|365d|keep)(\.\d{1,9})?\Z")


def new_nonce() -> str:
    """Return 128 random bits in hex, which identify one attempt."""
    return secrets.token_hex(16)


def id_segment(result_id: str) -> str:
    """Return an id as it is written in a key: unchanged, or `~` and its SHA-256 if it has other characters."""
    if not result_id:
        raise BadReference("an id must not be empty")
    if _PLAIN_ID.match(result_id):
        return result_id
    return "~" + hashlib.sha256(result_id.encode()).hexdigest()


def shard(result_id: str) -> str:
    """Return the first two hex digits of sha256(id): 256 even ranges for parallel work."""
    return hashlib.sha256(result_id.encode()).hexdigest()[:2]


def blob_key(result_id: str, *, retention: str, nonce: str, n: int) -> str:
    """Return the key of blob `n` of one attempt."""
    return f"blobs/{require_class(retention)}/{shard(result_id)}/{id_segment(result_id)}/{_checked_nonce(nonce)}.{n}"


def content_prefixes(result_id: str) -> list[str]:
    """Return the prefixes of the keys of all content of an id, one for each kind and class."""
    tail = f"{shard(result_id)}/{id_segment(result_id)}/"
    return [f"blobs/{retention}/{tail}" for retention in RETENTION_S] + upload_prefixes(result_id)


def upload_prefixes(result_id: str) -> list[str]:
    """Return the prefixes of the keys of an id's uploads, one for each class."""
    return [f"uploads/{retention}/{shard(result_id)}/{id_segment(result_id)}/" for retention in RETENTION_S]


def upload_key(result_id: str, *, retention: str, nonce: str) -> str:
    """Return the key of one upload."""
    return f"uploads/{require_class(retention)}/{shard(result_id)}/{id_segment(result_id)}/{_checked_nonce(nonce)}"


def copied_upload_key(key: str) -> str:
    """Return the key of the copy of an upload, to which the client's URL or form cannot write."""
    folder, _, nonce = key.rpartition("/")
    return f"{folder}/{hashlib.sha256(nonce.encode()).hexdigest()[: len(nonce)]}"


def id_of_upload_key(key: str) -> str:
    """Return the id in the key of an upload. Ids of uploads are plain, so they are written unchanged."""
    return key.split("/")[3]


def seal_key(result_id: str) -> str:
    """Return the key of the seal of a Result."""
    return f"seals/{shard(result_id)}/{id_segment(result_id)}"


def share_prefix(result_id: str) -> str:
    """Return the prefix of the keys of all share links of a Result."""
    return f"shares/{shard(result_id)}/{id_segment(result_id)}/"


def share_key(result_id: str, *, share_id: str, retention: str) -> str:
    """Return the key of a share link's document."""
    return f"{share_prefix(result_id)}{_checked_nonce(share_id)}.{require_class(retention)}"


def share_use_key(result_id: str, *, share_id: str, retention: str, number: int) -> str:
    """Return the key that says that a share link was used `number` times or more."""
    return f"{share_key(result_id, share_id=share_id, retention=retention)}.{number}"


def parse_share_key(key: str) -> tuple[str, str, bool] | None:
    """Return share id, retention class, and True for a use, of a key below `shares/`; None for another key."""
    found = _SHARE.match(key)
    return None if found is None else (found[1], found[2], found[3] is not None)


def is_content_key(key: str) -> bool:
    """Return whether `key` is that of a blob or an upload: the only keys that a reference or a URL may name."""
    return _KEY.match(key) is not None


def require_class(retention: str) -> str:
    """Return `retention` if it is a known class. Raises BadReference otherwise."""
    if retention not in RETENTION_S:
        raise BadReference(f"unknown retention class {retention!r}: use one of {', '.join(RETENTION_S)}")
    return retention


def first_class(*given: str | None) -> str:
    """Return the first class that is not None. Raises BadReference if it is not a known one; "" is none."""
    return require_class(next(one for one in given if one is not None))


def shortest_class(length_s: float, *, least: str = "1d") -> str:
    """Return the shortest class, `least` or longer, that keeps something for `length_s` seconds."""
    names = list(RETENTION_S)
    lengths_s = ((name, RETENTION_S[name]) for name in names[names.index(least) :])
    return next(name for name, kept_s in lengths_s if kept_s is None or kept_s >= length_s)


def expiry(retention: str, *, start: float) -> int | None:
    """Return when content of this class expires that was stored at `start` (epoch seconds), or None."""
    length_s = RETENTION_S[require_class(retention)]
    return None if length_s is None else int(start) + length_s


def record_key(result_id: str) -> str:
    """Return the Redis key of the record. The braces keep all keys of an id in one Cluster slot."""
    return f"rs:{{{result_id}}}"


def beside_key(result_id: str) -> str:
    """Return the Redis key of the part that is too large for the record and not read by a state poll."""
    return f"rs:{{{result_id}}}:+"


def order_key(result_id: str) -> str:
    """Return the Redis key of the order that led to a Result, kept for a retry."""
    return f"rs:{{{result_id}}}:order"


def restarted_key(result_id: str) -> str:
    """Return the Redis key that exists while orders of other Results may name the upload of this one."""
    return f"rs:{{{result_id}}}:restarted"


def ticket_key(result_id: str) -> str:
    """Return the Redis key of the ticket of an upload."""
    return f"rs:{{{result_id}}}:upload"


def claim_key(result_id: str) -> str:
    """Return the Redis key of the lease of the process that completes an upload."""
    return f"rs:{{{result_id}}}:claim"


def runs_key(result_id: str) -> str:
    """Return the Redis key of the number of redelivered runs of a task that have started and not ended."""
    return f"rs:{{{result_id}}}:runs"


def webhooks_key(part: str) -> str:
    """Return the Redis key of unsent webhooks: "hooks" themselves, or the ids that are "waiting" or "due"."""
    return f"rs:{{webhooks}}:{part}"


def id_of_record_key(key: str) -> str | None:
    """Return the id whose record is stored under `key`; None for any other key."""
    return key[4:-1] if key.startswith("rs:{") and key.endswith("}") else None


def channel(result_id: str) -> str:
    """Return the Redis channel on which every change of an id is announced."""
    return f"rs:{{{result_id}}}!"


def group_key(group_id: str, part: str = "") -> str:
    """Return the Redis key of a group, or with Celery's suffix as `part` (`.j`, `.s` ...) of a chord."""
    return f"rs:group:{{{id_of(group_id)}}}{part}"


def workflow_key(root_id: str) -> str:
    """Return the Redis key of the set of ids that belong to the workflow of a root."""
    return f"rs:workflow:{{{id_of(root_id)}}}"


def outbox_key(senders: str) -> str:
    """Return the Redis key of the groups whose chord's body these senders must publish, by the end of a lease."""
    return f"rs:outbox:{{{hashlib.sha256(senders.encode()).hexdigest()[:16]}}}"


def owner_key(owner: str) -> str:
    """Return the Redis key of the sorted set of an owner's ids, by creation time."""
    return f"rs:owner:{{{owner}}}"


def owner_stored_key(owner: str) -> str:
    """Return the Redis key of the sorted set of an owner's ids with stored bytes, by expiry."""
    return f"rs:owner:{{{owner}}}:stored"


def owner_patterns(owner: str) -> list[str]:
    """Return the patterns of the Redis keys of an owner, apart from the lists and the stream."""
    return [re.sub(r"([\\*?\[\]^])", r"\\\1", one) + "*" for one in owner_prefixes(owner)]


def owner_prefixes(owner: str) -> tuple[str, ...]:
    """Return the prefixes of those keys."""
    return (quota_key(owner, ""), idempotency_key(owner, ""))


def owner_stream_key(owner: str) -> str:
    """Return the Redis key of the stream of an owner's Events."""
    return f"rs:events:{{{owner}}}"


def owner_channel(owner: str) -> str:
    """Return the Redis channel of an owner's Events, each with its id in the stream; "" for Results without one."""
    return f"rs:events:{{{owner}}}!"


def quota_key(owner: str, kind: str) -> str:
    """Return the Redis key of an owner's current use of one quota (tickets, running tasks, streams ...)."""
    return f"rs:quota:{{{owner}}}:{kind}"


def registered_key(queue: str) -> str:
    """Return the Redis key of the tasks that the workers of a queue have registered."""
    return f"rs:{{tasks}}:{hashlib.sha256(queue.encode()).hexdigest()[:32]}"


def archive_key(secret: str) -> str:
    """Return the Redis key of what a link to an archive contains. The key does not show the link's secret."""
    return f"rs:archive:{{{hashlib.sha256(secret.encode(errors='replace')).hexdigest()[:32]}}}"


def idempotency_key(owner: str, digest: str) -> str:
    """Return the Redis key of the id that belongs to an owner's Idempotency-Key, by the key's digest."""
    return f"rs:once:{{{owner}}}:{digest}"


def _checked_nonce(nonce: str) -> str:
    if not _NONCE.match(nonce):
        raise BadReference(f"a nonce is 32 hex digits, not {nonce!r}")
    return nonce
