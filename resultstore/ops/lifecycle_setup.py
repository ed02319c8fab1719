"""Lifecycle: writes a bucket's rules, and believes only what the store gives back of them."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

import msgspec

from resultstore.model.errors import NotSupported
from resultstore.ops.lifecycle import Rule, effect_of, is_ours, merge_rules, probe_rule, rules, seal_rules

SWEEP = "run `resultstore sweep` once a day"

RuleDocument = Mapping[str, object]


class LifecycleBucket(Protocol):
    """A bucket whose lifecycle rules can be read and written."""

    def lifecycle(self) -> Sequence[RuleDocument]:
        """All rules, everybody's. Raises NotSupported where the store has none."""

    def update_lifecycle(self, merge: Callable[[Sequence[RuleDocument]], Sequence[RuleDocument]]) -> bool:
        """Read all rules and write what `merge` makes of them; whether anything had to be written."""


class LifecycleOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the store's own rules collect, and what was done for it.

    Args:
        blob_rules: whether they collect blobs and uploads.
        seal_rules: whether they collect seals.
        text: for people: what was done, and what they have to do themselves.
    """

    blob_rules: bool
    seal_rules: bool
    text: str


def write_rules(bucket: LifecycleBucket, *, root: str, untagged: str = "") -> LifecycleOutcome:
    """Let the store collect what has expired, as far as it keeps its rules as they were written.

    Some stores accept a rule that chooses by prefix and tag, and drop the tag: it would delete every seal after 4 days.
    So a rule that fits no object is tried first. Where the tag is dropped, or objects cannot carry tags, no rule for
    seals is written, and one that stands from before is removed. Others' rules stay as they are.

    Args:
        bucket: whose rules.
        root: the prefix of all keys of this store within the bucket.
        untagged: why objects keep no tags here; "" where they do.

    Raises BlobStoreUnavailable when the rules can be neither read nor written, for another reason than that the store
    has none.
    """
    try:
        return _written(bucket, root=root, untagged=untagged)
    except NotSupported as error:
        return LifecycleOutcome(blob_rules=False, seal_rules=False, text=f"no rules ({_reason(error)}): {SWEEP}")


def rules_in_force(bucket: LifecycleBucket, wanted: Sequence[Rule], *, root: str) -> bool:
    """Whether every one of these rules is in force as it is meant, and none of ours that does anything else."""
    documents, meant = bucket.lifecycle(), [rule.effect() for rule in wanted]
    ours = [effect_of(one) for one in documents if is_ours(one, root=root)]
    found = list(map(effect_of, documents))  # by what they do: a store may give rules names of its own
    return all(one in found for one in meant) and all(one in meant for one in ours)


def misses_tag(bucket: LifecycleBucket, *, root: str) -> bool:
    """Whether a rule deletes seals whatever their tag says."""
    prefixes = {rule.prefix for rule in seal_rules(root)}
    return any(one.prefix in prefixes and not one.tags and one.enabled for one in map(effect_of, bucket.lifecycle()))


def _written(bucket: LifecycleBucket, *, root: str, untagged: str) -> LifecycleOutcome:
    if not untagged and rules_in_force(bucket, rules(root), root=root):
        return LifecycleOutcome(blob_rules=True, seal_rules=True, text="our rules stand already")
    honest = not untagged and _keeps_tag_filters(bucket, root=root)
    wrote = bucket.update_lifecycle(partial(merge_rules, root=root, seals=honest))
    if not rules_in_force(bucket, rules(root, seals=honest), root=root):
        bucket.update_lifecycle(partial(merge_rules, root=root, seals=False, content=False))
        return LifecycleOutcome(
            blob_rules=False, seal_rules=False, text=f"no rules (the store keeps them otherwise than written): {SWEEP}"
        )
    if honest:
        return LifecycleOutcome(blob_rules=True, seal_rules=True, text="our rules written")
    why = untagged or "the store drops tags from rules"
    done = "written" if wrote else "stand already"
    return LifecycleOutcome(
        blob_rules=True, seal_rules=False, text=f"rules for blobs and uploads {done}, none for seals ({why}): {SWEEP}"
    )


def _keeps_tag_filters(bucket: LifecycleBucket, *, root: str) -> bool:
    """Write a rule that fits no object, and see whether it comes back with its tag; the next writing removes it."""
    tried = probe_rule(root, name=secrets.token_hex(8))
    bucket.update_lifecycle(partial(merge_rules, root=root, seals=False, more=(tried,)))
    return tried.effect() in map(effect_of, bucket.lifecycle())


def _reason(error: NotSupported) -> str:
    return str(error).rpartition(": see ")[0] or str(error)
