"""Lifecycle rules: which objects the store deletes; foreign rules are never changed."""

import pytest

from resultstore.model import layout
from resultstore.ops.lifecycle import as_s3, merge_rules, rules

FOREIGN = [
    {"ID": "logs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 3}},
    {"ID": "rs-backup", "Status": "Enabled", "Filter": {"Prefix": "blobs/"}, "Expiration": {"Days": 3}},
    {"Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 900}},
]


def test_each_class_is_collected_after_its_expiry():
    found = {(rule.prefix, rule.tag): rule.days for rule in rules("/some/place/")}

    for name, length_s in layout.RETENTION_S.items():
        if length_s is None:
            continue
        days = length_s // 86_400
        assert found.pop((f"some/place/blobs/{name}/", None)) == days + 1
        assert found.pop((f"some/place/uploads/{name}/", None)) == days + 1
        assert found.pop(("some/place/seals/", ("rs-class", name))) == days + 3
        assert found.pop(("some/place/shares/", ("rs-class", name))) == days + 1
    assert found == {}


def test_nothing_of_class_keep_is_ever_collected():
    assert not [rule for rule in rules() if "keep" in rule.prefix or (rule.tag and "keep" in rule.tag)]


def test_a_blob_key_lies_below_its_rule():
    key = layout.blob_key("x", retention="7d", nonce=layout.new_nonce(), n=0)

    assert [rule.days for rule in rules() if key.startswith(rule.prefix)] == [8]


def test_the_rules_of_others_stay_as_they_are():
    assert merge_rules(FOREIGN, root="r")[: len(FOREIGN)] == FOREIGN


@pytest.mark.parametrize("root", ["", "a", "a/b"])
def test_merging_twice_is_merging_once(root):
    once = merge_rules(FOREIGN, root=root)

    assert merge_rules(once, root=root) == once


def test_two_stores_keep_their_rules_apart():
    both = merge_rules(merge_rules([], root="one"), root="two")

    assert len(both) == len(rules("one")) + len(rules("two"))
    assert len({rule["ID"] for rule in both}) == len(both)


def test_our_earlier_rules_of_this_root_are_replaced():
    earlier = as_s3(rules("one")[0]) | {"Expiration": {"Days": 1}}
    dropped = {"ID": rules("one")[0].id.replace("1d", "2d"), "Status": "Enabled"}

    now = merge_rules([earlier, dropped], root="one")

    assert earlier not in now
    assert dropped not in now
    assert len(now) == len(rules("one"))


def test_rule_in_minios_form_is_not_rewritten():
    kept = [
        {name: value for name, value in rule.items() if name != "AbortIncompleteMultipartUpload"}
        for rule in merge_rules([])
    ]

    assert merge_rules(kept) == kept


def test_rules_abort_incomplete_uploads_after_a_day():
    written = [as_s3(rule) for rule in rules("some/place")]
    areas = {f"some/place/{area}/{name}/" for area in ("blobs", "uploads") for name in ("1d", "7d", "30d", "365d")}

    aborting = [one for one in written if "AbortIncompleteMultipartUpload" in one]

    assert {one["Filter"]["Prefix"] for one in aborting} == areas
    assert {one["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] for one in aborting} == {1}
