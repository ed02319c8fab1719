"""Retention: the lifecycle rules that collect, later, what readers are already told has expired."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from resultstore.model import layout

RULE_PREFIX = "rs-"
SEAL_TAG = "rs-class"
# Readers obey expires_at; the store only collects after it. A seal outlives its blobs by two days, so that a late
# reader hears "expired" and not "unknown", and a late attempt still meets the seal.
BLOB_GRACE_DAYS = 1
SEAL_GRACE_DAYS = 3
ABORT_UPLOADS_AFTER_DAYS = 1

_PROBE_DAYS = 3_650
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

    def effect(self) -> "RuleEffect":
        """What the rule does."""
        return RuleEffect(
            prefix=self.prefix, tags=() if self.tag is None else (self.tag,), days=self.days, enabled=True
        )


class RuleEffect(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule does: which objects it deletes, and when. Every store writes that in its own way.

    Args:
        prefix: of whole object keys in the bucket.
        tags: what an object must carry as well, sorted.
        days: age at which it may be deleted; None for a rule that deletes by another measure.
        enabled: whether it is in force.
    """

    prefix: str
    tags: tuple[tuple[str, str], ...]
    days: int | None
    enabled: bool


def effect_of(document: Mapping[str, object]) -> RuleEffect:
    """What a rule of GetBucketLifecycleConfiguration does."""
    chosen = _part(document, "Filter")
    both = _part(chosen, "And") or chosen
    listed = both.get("Tags") or ()
    tags = [*(listed if isinstance(listed, list) else ()), *([chosen["Tag"]] if "Tag" in chosen else ())]
    days = _part(document, "Expiration").get("Days")
    return RuleEffect(
        prefix=str(both.get("Prefix") or document.get("Prefix") or ""),
        tags=tuple(sorted((str(one["Key"]), str(one["Value"])) for one in tags)),
        days=days if isinstance(days, int) else None,
        enabled=document.get("Status") == "Enabled",
    )


def _part(document: Mapping[str, object], name: str) -> Mapping[str, object]:
    found = document.get(name)
    return found if isinstance(found, Mapping) else {}


def rules(root: str = "", *, seals: bool = True) -> tuple[Rule, ...]:
    """The rules of one store: by prefix for blobs and uploads, by prefix and tag for seals.

    Args:
        root: the prefix of all its keys within the bucket, with or without slashes around it.
        seals: whether those for seals are among them.
    """
    return (*_content_rules(_normal(root)), *(seal_rules(root) if seals else ()))


def seal_rules(root: str = "") -> tuple[Rule, ...]:
    """Those for seals alone: all have one prefix, and only their tags tell the classes apart."""
    return tuple(_seal_rules(_normal(root)))


def probe_rule(root: str, *, name: str) -> Rule:
    """A rule of the same kind that fits no object: `name` is nobody's key."""
    prefix = f"{_normal(root)}seals/probe-{name}/"
    identity = f"{RULE_PREFIX}seals-probe{_suffix(_normal(root))}"
    return Rule(id=identity, prefix=prefix, days=_PROBE_DAYS, tag=(SEAL_TAG, "probe"))


def merge_rules(
    standing: Iterable[Mapping[str, object]],
    *,
    root: str = "",
    seals: bool = True,
    content: bool = True,
    more: Sequence[Rule] = (),
) -> list[Mapping[str, object]]:
    """The rules that shall stand: everybody else's untouched, and ours of this root in place of our earlier ones.

    Args:
        standing: `Rules` of GetBucketLifecycleConfiguration.
        root: of this store; rules of another store in the same bucket are somebody else's.
        seals: whether ours for seals shall be among them.
        content: whether ours for blobs and uploads shall be among them.
        more: further rules of ours.
    """
    before = list(standing)
    others = [one for one in before if not is_ours(one, root=root)]
    wanted = (*(_content_rules(_normal(root)) if content else ()), *(seal_rules(root) if seals else ()), *more)
    return others + [_kept(before, rule) for rule in wanted]


def as_s3(rule: Rule) -> dict[str, object]:
    """A rule as PutBucketLifecycleConfiguration takes it."""
    document: dict[str, object] = {"ID": rule.id, "Status": "Enabled", "Expiration": {"Days": rule.days}}
    if rule.tag is None:
        # S3 takes this action only where no tag is asked for.
        abort = {"DaysAfterInitiation": ABORT_UPLOADS_AFTER_DAYS}
        return document | {"Filter": {"Prefix": rule.prefix}, _ABORT: abort}
    key, value = rule.tag
    return document | {"Filter": {"And": {"Prefix": rule.prefix, "Tags": [{"Key": key, "Value": value}]}}}


def _content_rules(root: str) -> Iterator[Rule]:
    for name, days in _classes():
        for area in ("blobs", "uploads"):
            identity = f"{RULE_PREFIX}{area}-{name}{_suffix(root)}"
            yield Rule(id=identity, prefix=f"{root}{area}/{name}/", days=days + BLOB_GRACE_DAYS)


def _seal_rules(root: str) -> Iterator[Rule]:
    for name, days in _classes():
        identity = f"{RULE_PREFIX}seals-{name}{_suffix(root)}"
        yield Rule(id=identity, prefix=f"{root}seals/", days=days + SEAL_GRACE_DAYS, tag=(SEAL_TAG, name))


def _classes() -> Iterator[tuple[str, int]]:
    """Each class that ends, with its days."""
    for name, length_s in layout.RETENTION_S.items():
        if length_s is not None:
            yield name, length_s // layout.DAY_S


def _kept(before: Iterable[Mapping[str, object]], rule: Rule) -> Mapping[str, object]:
    """The standing rule where it means the same: each store words a rule in its own way, and MinIO drops the abortion
    of uploads, which it does by itself after a day.
    """
    same = (one for one in before if one.get("ID") == rule.id and effect_of(one) == rule.effect())
    return next(same, as_s3(rule))


def _normal(root: str) -> str:
    bare = root.strip("/")
    return f"{bare}/" if bare else ""


def _suffix(root: str) -> str:
    """Tells the rules of several stores in one bucket apart; an id of 255 characters is too short for any root."""
    return "@" + hashlib.sha256(root.encode()).hexdigest()[:8] if root else ""


def is_ours(document: Mapping[str, object], *, root: str = "") -> bool:
    """Whether this version or an earlier one made the rule for the same root."""
    name, at, marked = str(document.get("ID", "")).partition("@")
    is_one = name.startswith(tuple(f"{RULE_PREFIX}{area}-" for area in _AREAS))
    return is_one and at + marked == _suffix(_normal(root))
