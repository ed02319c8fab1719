"""Lifecycle set-up: writes a bucket's rules, and reads them back to check what the store kept."""

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
        """Return all rules, also foreign ones. Raises NotSupported if the store has no lifecycle rules."""

    def update_lifecycle(self, merge: Callable[[Sequence[RuleDocument]], Sequence[RuleDocument]]) -> bool:
        """Read all rules and write the result of `merge`; return True if anything had to be written."""


class LifecycleOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the lifecycle rules delete, and what was done.

    Args:
        blob_rules: True if rules delete expired blobs and uploads.
        seal_rules: True if rules delete expired seals.
        text: what was done, and what the operator has to do.
    """

    blob_rules: bool
    seal_rules: bool
    text: str


def write_rules(bucket: LifecycleBucket, *, root: str, untagged: str = "") -> LifecycleOutcome:
    """Write the rules that delete expired objects, as far as the store keeps them as written.

    Some stores accept a rule with prefix and tag but drop the tag: it would delete every seal after 4 days. So a test
    rule that matches no object is written first. If the tag is dropped, or objects cannot have tags, no rule for seals
    is written and an existing one is removed. Foreign rules are never changed.

    Args:
        bucket: the bucket to configure.
        root: the prefix of all keys of this store within the bucket.
        untagged: why objects lose their tags in this store; "" if they keep them.

    Raises BlobStoreUnavailable if the rules cannot be read or written, except if the store supports none.
    """
    try:
        return _written(bucket, root=root, untagged=untagged)
    except NotSupported as error:
        return LifecycleOutcome(blob_rules=False, seal_rules=False, text=f"no rules ({_reason(error)}): {SWEEP}")


def rules_in_force(bucket: LifecycleBucket, wanted: Sequence[Rule], *, root: str) -> bool:
    """Return True if all these rules are active, and no other rule of ours."""
    documents, meant = bucket.lifecycle(), [rule.effect() for rule in wanted]
    ours = [effect_of(one) for one in documents if is_ours(one, root=root)]
    found = list(map(effect_of, documents))  # compare effects, because a store may rename rules
    return all(one in found for one in meant) and all(one in meant for one in ours)


def misses_tag(bucket: LifecycleBucket, *, root: str) -> bool:
    """Return True if a rule deletes seals regardless of their tag."""
    prefixes = {rule.prefix for rule in seal_rules(root)}
    return any(one.prefix in prefixes and not one.tags and one.enabled for one in map(effect_of, bucket.lifecycle()))


def _written(bucket: LifecycleBucket, *, root: str, untagged: str) -> LifecycleOutcome:
    if not untagged and rules_in_force(bucket, rules(root), root=root):
        return LifecycleOutcome(blob_rules=True, seal_rules=True, text="rules are up to date")
    honest = not untagged and _keeps_tag_filters(bucket, root=root)
    wrote = bucket.update_lifecycle(partial(merge_rules, root=root, seals=honest))
    if not rules_in_force(bucket, rules(root, seals=honest), root=root):
        bucket.update_lifecycle(partial(merge_rules, root=root, seals=False, content=False))
        return LifecycleOutcome(blob_rules=False, seal_rules=False, text=f"no rules (the store changes them): {SWEEP}")
    if honest:
        return LifecycleOutcome(blob_rules=True, seal_rules=True, text="rules written")
    why = untagged or "the store drops tags from rules"
    done = "written" if wrote else "are up to date"
    return LifecycleOutcome(
        blob_rules=True, seal_rules=False, text=f"rules for blobs and uploads {done}, none for seals ({why}): {SWEEP}"
    )


def _keeps_tag_filters(bucket: LifecycleBucket, *, root: str) -> bool:
    """Write a rule that matches no object; return True if the store keeps its tag. The next write removes it."""
    tried = probe_rule(root, name=secrets.token_hex(8))
    bucket.update_lifecycle(partial(merge_rules, root=root, seals=False, more=(tried,)))
    return tried.effect() in map(effect_of, bucket.lifecycle())


def _reason(error: NotSupported) -> str:
    return str(error).rpartition(": see ")[0] or str(error)
