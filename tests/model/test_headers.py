"""Headers: the owner that a message names, and the one that it inherits."""

import pytest

from resultstore.model.headers import OWNER_HEADER, owner_in, set_default_owner


@pytest.mark.parametrize(("headers", "owner"), [({OWNER_HEADER: "ann"}, "ann"), ({}, ""), ({OWNER_HEADER: 7}, "")])
def test_owner_is_a_text_or_none(headers: dict[str, object], owner: str):
    assert owner_in(headers) == owner


@pytest.mark.parametrize("named", [{}, {OWNER_HEADER: ""}, {OWNER_HEADER: None}])
def test_message_without_an_owner_inherits_one(named: dict[str, object]):
    set_default_owner(named, "ann")
    assert named == {OWNER_HEADER: "ann"}


def test_named_owner_stays():
    headers: dict[str, object] = {OWNER_HEADER: "bob"}
    set_default_owner(headers, "ann")
    assert headers == {OWNER_HEADER: "bob"}


def test_no_owner_adds_no_header():
    headers: dict[str, object] = {}
    set_default_owner(headers, "")
    assert headers == {}
