"""The layout marker: who wrote it is proven where there is a secret key, and an older one stays readable."""

import pytest

from resultstore.model import layout_marker
from resultstore.model.errors import LayoutUnreadable
from resultstore.model.layout_marker import LayoutMarker, StoreCapabilities
from resultstore.model.mac import Macs

KEY, OTHER = Macs(b"k" * 32), Macs(b"o" * 32)
WEAK = LayoutMarker(format=1, traits=StoreCapabilities(tags=False, seal_rules=False))


@pytest.mark.parametrize("macs", [KEY, Macs(b"")], ids=["signed", "without a key"])
def test_marker_comes_back_as_written(macs: Macs):
    assert layout_marker.decode(layout_marker.encode(WEAK, macs), macs) == WEAK


def test_marker_of_an_older_key_is_believed():
    changed = Macs(b"n" * 32, older=[b"k" * 32])

    assert layout_marker.decode(layout_marker.encode(WEAK, KEY), changed) == WEAK


@pytest.mark.parametrize("accepted", [True, False])
def test_unsigned_marker_tells_its_format_alone(accepted: bool):
    macs = Macs(b"k" * 32, accept_unsigned=accepted)
    document = layout_marker.encode(WEAK, Macs(b""))

    assert layout_marker.decode(b'{"format":1}', macs) == LayoutMarker(format=1)
    assert layout_marker.decode(document, macs) == (WEAK if accepted else LayoutMarker(format=1))


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"junk",
        b"[]",
        b'{"format":"1"}',
        b'{"format":2}',
        layout_marker.encode(WEAK, OTHER),
        layout_marker.encode(LayoutMarker(format=2), OTHER),
        layout_marker.encode(WEAK, KEY).replace(b"false", b"true", 1),
    ],
)
def test_marker_that_was_replaced_is_named(document: bytes):
    with pytest.raises(LayoutUnreadable, match=r"layout\.json .*setup --mend"):
        layout_marker.decode(document, KEY)


def test_earlier_versions_read_a_new_marker():
    """Earlier versions decode `format` only, and ignore other members."""
    assert layout_marker.encode(WEAK, KEY).startswith(b'{"format":1,')
    assert layout_marker.encode(LayoutMarker(format=1), Macs(b"")) == b'{"format":1}'
