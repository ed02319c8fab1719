"""DueList: names become due, on either index."""

import uuid

import pytest

from resultstore.index.due_list import DueList


@pytest.fixture
def due(index):
    return DueList(index, f"rs:{{{uuid.uuid4().hex}}}:late")


def test_only_due_names_are_returned_oldest_first(due):
    due.add("later", after_s=60)
    due.add("second", after_s=-5)
    due.add("first", after_s=-50)

    assert due.read_due(count=10) == ["first", "second"]
    assert due.read_due(count=1) == ["first"]


def test_a_name_keeps_its_later_time(due):
    due.add("a", after_s=60)
    due.add("a", after_s=-5)

    assert due.read_due(count=10) == []


def test_a_removed_name_is_never_due(due):
    due.add("a", after_s=-5)

    due.remove("a")
    due.remove("never there")

    assert due.read_due(count=10) == []
