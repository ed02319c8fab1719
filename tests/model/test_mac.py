"""MACs: valid only for their purpose, parts and key."""

import pytest

from resultstore.model.errors import BadReference
from resultstore.model.mac import Macs


def test_mac_is_valid_for_its_parts():
    macs = Macs(b"secret")

    assert macs.agrees(macs.sign("artifact", "id", "kéy"), "artifact", "id", "kéy")


@pytest.mark.parametrize(
    ("purpose", "parts"),
    [
        ("spill", ("id", "key")),
        ("artifact", ("id", "kez")),
        ("artifact", ("i", "dkey")),
        ("artifact", ("id", "key", "")),
        ("artifact", ("id",)),
    ],
)
def test_mac_is_invalid_for_other_purpose_or_parts(purpose, parts):
    macs = Macs(b"secret")

    assert not macs.agrees(macs.sign("artifact", "id", "key"), purpose, *parts)


def test_another_key_makes_another_mac():
    assert not Macs(b"other").agrees(Macs(b"secret").sign("artifact", "id"), "artifact", "id")


def test_without_a_key_no_mac_is_valid():
    none = Macs(b"")

    with pytest.raises(BadReference, match="RESULTSTORE_SECRET_KEY"):
        none.sign("artifact", "id")
    assert not none
    assert not none.agrees("", "artifact", "id")


def test_mac_that_is_not_ascii_is_invalid():
    assert not Macs(b"secret").agrees("é", "artifact", "id")
