"""Lifecycle: the bucket rules that delete expired objects, some time after readers treat them as expired."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from resultstore.model import layout

RULE_PREFIX = "rs-"
SEAL_TAG = "rs-class"
# Readers obey expires_at; the store deletes later. A seal outlives its blobs by two days, so that a late reader gets
# "expired" instead of "unknown", and a late attempt still finds the seal.
BLOB_GRACE_DAYS = 1
SEAL_GRACE_DAYS = 3
ABORT_UPLOADS_AFTER_DAYS = 1

_PROBE_DAYS = 3_650
_AREAS = ("blobs", "uploads", "seals", "shares")
_ABORT = "AbortIncompleteMultipartUpload"


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One lifecycle rule.

    Args:
        id: begins with `rs-`; unique within one store.
        prefix: the prefix of object keys in the bucket.
        days: the age at which the store may delete; stores round up to midnight UTC.
        tag: name and value that an object must have; None for every object.
    """

    id: str
    prefix: str
    days: int
    tag: tuple[str, str] | None = None

    def effect(self) -> "RuleEffect":
        """Return what the rule does."""
        return RuleEffect(
            prefix=self.prefix, tags=() if self.tag is None else (self.tag,), days=self.days, enabled=True
        )


class RuleEffect(msgspec.Struct, frozen=True, kw_only=True):
    """Which objects a rule deletes, and when; stores write the same rule differently.

    Args:
        prefix: the prefix of object keys in the bucket.
        tags: the tags that an object must have, sorted.
        days: the age at which it may be deleted; None for a rule with another condition.
        enabled: True if the rule is active.
    """

    prefix: str
    tags: tuple[tuple[str, str], ...]
    days: int | None
    enabled: bool


def effect_of(document: Mapping[str, object]) -> RuleEffect:
    """Return what a rule of GetBucketLifecycleConfiguration does."""
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
    """Return the rules of one store: by prefix for blobs and uploads, by prefix and tag for seals.

    Args:
        root: the prefix of all its keys within the bucket, with or without slashes around it.
        seals: True to include the rules for seals.
    """
    return (*_content_rules(_normal(root)), *(seal_rules(root) if seals else ()))


def seal_rules(root: str = "") -> tuple[Rule, ...]:
    """Return the rules by tag: those for seals, and those for share links. All rules of one kind have one prefix."""
    return tuple(_tag_rules(_normal(root)))


def probe_rule(root: str, *, name: str) -> Rule:
    """Return a test rule of the same kind that matches no object, because no key contains `name`."""
    prefix = f"{_normal(root)}seals/probe-{name}/"
    identity = f"{RULE_PREFIX}seals-probe{_suffix(_normal(root))}"
    return Rule(id=identity, prefix=prefix, days=_PROBE_DAYS, tag=(SEAL_TAG, "probe"))


def merge_rules(
    current: Iterable[Mapping[str, object]],
    *,
    root: str = "",
    seals: bool = True,
    content: bool = True,
    more: Sequence[Rule] = (),
) -> list[Mapping[str, object]]:
    """Return the new list of rules: foreign rules unchanged, ours of this root replaced.

    Args:
        current: `Rules` of GetBucketLifecycleConfiguration.
        root: the prefix of this store; rules of another store in the same bucket are foreign.
        seals: True to include the rules for seals.
        content: True to include the rules for blobs and uploads.
        more: further rules to include.
    """
    before = list(current)
    others = [one for one in before if not is_ours(one, root=root)]
    wanted = (*(_content_rules(_normal(root)) if content else ()), *(seal_rules(root) if seals else ()), *more)
    return others + [_kept(before, rule) for rule in wanted]


def as_s3(rule: Rule) -> dict[str, object]:
    """Return a rule in the form of PutBucketLifecycleConfiguration."""
    document: dict[str, object] = {"ID": rule.id, "Status": "Enabled", "Expiration": {"Days": rule.days}}
    if rule.tag is None:
        # S3 accepts this action only in rules without a tag.
        abort = {"DaysAfterInitiation": ABORT_UPLOADS_AFTER_DAYS}
        return document | {"Filter": {"Prefix": rule.prefix}, _ABORT: abort}
    key, value = rule.tag
    return document | {"Filter": {"And": {"Prefix": rule.prefix, "Tags": [{"Key": key, "Value": value}]}}}


def _content_rules(root: str) -> Iterator[Rule]:
    for name, days in _classes():
        for area in ("blobs", "uploads"):
            identity = f"{RULE_PREFIX}{area}-{name}{_suffix(root)}"
            yield Rule(id=identity, prefix=f"{root}{area}/{name}/", days=days + BLOB_GRACE_DAYS)


def _tag_rules(root: str) -> Iterator[Rule]:
    for area, grace_days in (("seals", SEAL_GRACE_DAYS), ("shares", BLOB_GRACE_DAYS)):
        for name, days in _classes():
            identity = f"{RULE_PREFIX}{area}-{name}{_suffix(root)}"
            yield Rule(id=identity, prefix=f"{root}{area}/", days=days + grace_days, tag=(SEAL_TAG, name))


def _classes() -> Iterator[tuple[str, int]]:
    """Yield each retention class that expires, with its days."""
    for name, length_s in layout.RETENTION_S.items():
        if length_s is not None:
            yield name, length_s // layout.DAY_S


def _kept(before: Iterable[Mapping[str, object]], rule: Rule) -> Mapping[str, object]:
    """Return the current rule if it has the same effect, else ours.

    Stores write rules differently, and MinIO drops the action that aborts uploads, which it does itself after a day.
    """
    same = (one for one in before if one.get("ID") == rule.id and effect_of(one) == rule.effect())
    return next(same, as_s3(rule))


def _normal(root: str) -> str:
    bare = root.strip("/")
    return f"{bare}/" if bare else ""


def _suffix(root: str) -> str:
    """Return a suffix that separates the rules of several stores in one bucket; ids have at most 255 characters."""
    return "@" + hashlib.sha256(root.encode()).hexdigest()[:8] if root else ""


def is_ours(document: Mapping[str, object], *, root: str = "") -> bool:
    """Return True if this or an earlier version wrote the rule for the same root."""
    name, at, marked = str(document.get("ID", "")).partition("@")
    is_one = name.startswith(tuple(f"{RULE_PREFIX}{area}-" for area in _AREAS))
    return is_one and at + marked == _suffix(_normal(root))
