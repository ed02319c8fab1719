"""Markers: every Artifact and Spill comes back from its envelope, and everything else stays as it is."""

from collections import OrderedDict

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from resultstore.model.artifact import Artifact
from resultstore.model.markers import copy_items, mark, unmark, write_envelope
from resultstore.model.spill import Spill

KEY = "blobs/30d/aa/7f3a/" + "0" * 32 + ".0"
FACTS = {"id": "7f3a", "key": KEY, "size_bytes": 5, "stored_bytes": 5, "sha256": "ab" * 32}
ARTIFACT = Artifact(**FACTS, name="a", file_name="a", etag="e", media_type="text/plain")
SPILL = Spill(**FACTS, media_type="application/json")

values = st.recursive(
    st.none() | st.integers() | st.text(max_size=3) | st.sampled_from([ARTIFACT, SPILL]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(st.sampled_from(["__type__", "__value__", "x"]), inner, max_size=2)
    ),
    max_leaves=8,
)


@given(value=values)
@settings(max_examples=200, deadline=None)
def test_marked_value_comes_back(value):
    assert unmark(mark(value)) == value


@pytest.mark.parametrize("reference", [ARTIFACT, SPILL], ids=["artifact", "spill"])
def test_envelope_is_the_written_format(reference):
    marker = {Artifact: "resultstore.artifact/1", Spill: "resultstore.spill/1"}[type(reference)]
    assert mark([reference]) == [{"__type__": marker, "__value__": msgspec.to_builtins(reference)}]


def test_value_without_references_stays_the_same_object():
    value = OrderedDict(a=(1, [2, {"b": {3}}]))
    assert mark(value) is value
    assert unmark(value) is value


@pytest.mark.parametrize(
    "value",
    [
        {"__type__": "datetime", "__value__": 1},
        {"__type__": "resultstore.artifact/1"},
        {"__type__": []},
        {**write_envelope(ARTIFACT), "more": 1},
    ],
)
def test_mapping_of_another_kind_stays(value):
    assert unmark([value]) == [value]


def test_malformed_envelope_is_an_error():
    with pytest.raises(msgspec.ValidationError):
        unmark({"a": ({"__type__": "resultstore.spill/1", "__value__": {"id": 3}},)})


def test_copied_items_are_plain():
    made = copy_items(OrderedDict(a=1), lambda item: item)
    assert (type(made), copy_items((1, 2), lambda item: item)) == (dict, [1, 2])
