"""Retention: the lifecycle rules that collect, later, what readers are already told has expired."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from resultstore.model import layout

RULE_PREFIX = "rs-"
SEAL_TAG = "rs-class"
# Readers obey expires_at; the store only collects after it. A seal outlives its blobs by two days, so that a late
# reader hears "expired" and not "unknown", and a late attempt still meets the seal.
BLOB_GRACE_DAYS = 1
SEAL_GRACE_DAYS = 3
ABORT_UPLOADS_AFTER_DAYS = 1

_AREAS = ("blobs", "uploads", "seals")
_ABORT = "AbortIncompleteMultipartUpload"


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One lifecycle rule.

    Args:
        id: begins with `rs-`; one rule of the same store per id.
        prefix: of whole object keys in the bucket.
        days: age at which the store may delete; stores round up to midnight UTC.
        tag: name and value that an object must carry as well; None for every object.
    """

    id: str
    prefix: str
    days: int
    tag: tuple[str, str] | None = None


def rules(root: str = "") -> tuple[Rule, ...]:
    """The rules of one store: by prefix for blobs and uploads, by prefix and tag for seals.

    Args:
        root: the prefix of all its keys within the bucket, with or without slashes around it.
    """
    return tuple(_rules(_normal(root)))


def merged(standing: Iterable[Mapping[str, object]], *, root: str = "") -> list[Mapping[str, object]]:
    """The rules that shall stand: everybody else's untouched, and ours of this root in place of our earlier ones.

    Args:
        standing: `Rules` of GetBucketLifecycleConfiguration.
        root: of this store; rules of another store in the same bucket are somebody else's.
    """
    before = list(standing)
    suffix = _suffix(_normal(root))
    others = [one for one in before if not _is_ours(str(one.get("ID", "")), suffix)]
    return others + [_kept(before, as_s3(rule)) for rule in rules(root)]


def as_s3(rule: Rule) -> dict[str, object]:
    """A rule as PutBucketLifecycleConfiguration takes it."""
    document: dict[str, object] = {"ID": rule.id, "Status": "Enabled", "Expiration": {"Days": rule.days}}
    if rule.tag is None:
        # S3 takes this action only where no tag is asked for.
        abort = {"DaysAfterInitiation": ABORT_UPLOADS_AFTER_DAYS}
        return document | {"Filter": {"Prefix": rule.prefix}, _ABORT: abort}
    key, value = rule.tag
    return document | {"Filter": {"And": {"Prefix": rule.prefix, "Tags": [{"Key": key, "Value": value}]}}}


def _rules(root: str) -> Iterator[Rule]:
    for name, length_s in layout.RETENTION_S.items():
        if length_s is None:
            continue
        days = length_s // layout.DAY_S
        for area in ("blobs", "uploads"):
            identity = f"{RULE_PREFIX}{area}-{name}{_suffix(root)}"
            yield Rule(id=identity, prefix=f"{root}{area}/{name}/", days=days + BLOB_GRACE_DAYS)
        identity = f"{RULE_PREFIX}seals-{name}{_suffix(root)}"
        yield Rule(id=identity, prefix=f"{root}seals/", days=days + SEAL_GRACE_DAYS, tag=(SEAL_TAG, name))


def _kept(before: Iterable[Mapping[str, object]], wanted: Mapping[str, object]) -> Mapping[str, object]:
    """The standing rule where it is `wanted` as the store keeps it: MinIO drops the abortion of uploads, which it
    does by itself after a day.
    """
    bare = {name: value for name, value in wanted.items() if name != _ABORT}
    return next((one for one in before if one in (wanted, bare)), wanted)


def _normal(root: str) -> str:
    bare = root.strip("/")
    return f"{bare}/" if bare else ""


def _suffix(root: str) -> str:
    """Tells the rules of several stores in one bucket apart; an id of 255 characters is too short for any root."""
    return "@" + hashlib.sha256(root.encode()).hexdigest()[:8] if root else ""


def _is_ours(rule_id: str, suffix: str) -> bool:
    """Whether this version or an earlier one made the rule for the same root."""
    name, at, root = rule_id.partition("@")
    return name.startswith(tuple(f"{RULE_PREFIX}{area}-" for area in _AREAS)) and at + root == suffix
