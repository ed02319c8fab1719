"""Ids: plain text from every type that callers use."""

import uuid
from enum import Enum, StrEnum

import pytest

from resultstore.model.errors import BadReference
from resultstore.model.ids import id_of, state_of

ID = uuid.UUID("7f3a0000-0000-4000-8000-00000000000a")


class Shouting(str):
    """A text whose `str()` says something else."""

    __slots__ = ()

    def __str__(self) -> str:
        return self.upper()


class Mixed(str, Enum):  # noqa: UP042 - the form whose `str()` is "Mixed.LOADING"
    LOADING = "loading"


class Plain(Enum):
    LOADING = "loading"


class Modern(StrEnum):
    LOADING = "loading"


class Silent:
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("7f3a", "7f3a"),
        (ID, str(ID)),
        (5, "5"),
        (b"7f3a", "7f3a"),
        ("ü".encode(), "ü"),
        (Shouting("7f3a"), "7f3a"),
        (Mixed.LOADING, "loading"),
        (Plain.LOADING, "loading"),
        (Modern.LOADING, "loading"),
    ],
)
def test_id_of_any_type_is_its_text(given: object, text: str):
    assert (id_of(given), type(id_of(given))) == (text, str)


@pytest.mark.parametrize("given", [None, "", b"", "\ud800", b"\xff", Silent()])
def test_what_can_be_no_id_is_refused(given: object):
    with pytest.raises(BadReference):
        id_of(given)


@pytest.mark.parametrize("given", [Mixed.LOADING, Plain.LOADING, Modern.LOADING, "loading"])
def test_state_of_an_enum_is_its_value(given: object):
    assert (state_of(given), type(state_of(given))) == ("loading", str)
