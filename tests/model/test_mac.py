"""Mac: what it binds."""

import pytest

from resultstore.model.errors import BadReference
from resultstore.model.mac import Macs


def test_a_mac_agrees_with_what_it_was_made_of():
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
def test_a_mac_is_none_of_another_purpose_or_of_other_parts(purpose, parts):
    macs = Macs(b"secret")

    assert not macs.agrees(macs.sign("artifact", "id", "key"), purpose, *parts)


def test_another_key_makes_another_mac():
    assert not Macs(b"other").agrees(Macs(b"secret").sign("artifact", "id"), "artifact", "id")


def test_without_a_key_nothing_is_signed_and_nothing_agrees():
    none = Macs(b"")

    with pytest.raises(BadReference, match="RESULTSTORE_SECRET_KEY"):
        none.sign("artifact", "id")
    assert not none
    assert not none.agrees("", "artifact", "id")


def test_a_mac_that_is_no_ascii_is_refused_not_an_error():
    assert not Macs(b"secret").agrees("é", "artifact", "id")
