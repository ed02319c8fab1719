"""`offered`: one declaration registers a task and offers it, and its options are checked by its model."""

import itertools
from typing import Annotated

import pytest
from celery import Celery
from pydantic import Field, field_validator

from resultstore import BadInput, Offer, Options
from resultstore.backends.celery import offered, offers_of, setup

numbers = itertools.count(1)


class Report(Options):
    """Options with every kind of default."""

    serial: Annotated[int, Field(default_factory=lambda: next(numbers))]
    month: Annotated[int, Field(ge=1, le=12)]
    language: str = "en"

    @field_validator("language")
    @classmethod
    def known(cls, language: str) -> str:
        if language not in {"en", "de"}:
            raise ValueError("write en or de")
        return language


OFFER = Offer(task="shop.report", title="Report", arguments=Report)


@pytest.fixture
def app():
    app = Celery("shop", broker="memory://", backend="resultstore+memory://", set_as_current=False)
    setup(app)
    return app


@pytest.fixture
def report(app):
    @offered(app, OFFER, max_retries=7)
    def report(options: Report) -> tuple[int, int, str]:
        return options.serial, options.month, options.language

    return report


def test_options_are_given_as_one_model(report):
    assert report(month=3, language="de")[1:] == (3, "de")


def test_defaults_from_a_factory_are_new(report):
    assert report(month=1)[0] != report(month=1)[0]


def test_further_options_reach_celery(app, report):
    assert (report.name, report.max_retries) == ("shop.report", 7)
    assert offers_of(app) == {"shop.report": OFFER}


@pytest.mark.parametrize(
    ("given", "problem"),
    [({}, "month"), ({"month": 13}, "month"), ({"month": 1, "language": "fr"}, "write en or de"), ({"x": 1}, "'x'")],
)
def test_a_wrong_call_names_what_is_wrong(report, given, problem):
    with pytest.raises(BadInput, match=f"shop.report was called wrongly.*{problem}.*; it takes: "):
        report(**given)
