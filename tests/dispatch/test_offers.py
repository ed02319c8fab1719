"""Offers: arguments are checked by the offer's model, and a refusal names what is wrong and what is allowed."""

from typing import Annotated

import pytest
from pydantic import Field

from resultstore import Offer, Options, WrongType


class Shrink(Options):
    """Options of `shrink`."""

    width: Annotated[int, Field(ge=1, le=100)] = 10
    name: str = ""


OFFER = Offer(task="shrink", title="Shrink", arguments=Shrink)


def test_given_arguments_are_returned_without_defaults():
    assert OFFER.checked({"width": 5}) == {"width": 5}
    assert OFFER.checked({}) == {}


def test_unknown_argument_is_refused_with_allowed_ones():
    with pytest.raises(WrongType, match=r"^shrink takes no argument 'height'; it takes: width, name$"):
        OFFER.checked({"height": 1})


def test_every_wrong_argument_is_named():
    with pytest.raises(WrongType, match=r"^shrink was called wrongly: width: .*; name: .*; it takes: width, name$"):
        OFFER.checked({"width": 0, "name": 1})


def test_offer_without_options_takes_no_argument():
    with pytest.raises(WrongType, match=r"it takes: nothing$"):
        Offer(task="plain", title="Plain").checked({"x": 1})
