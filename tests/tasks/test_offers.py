"""Offers: what the gateway lets strangers start is what the tasks take."""

from inspect import Parameter, signature

import pytest

from resultstore import WrongType
from tasks import examples
from tasks.documents import task as documents
from tasks.images import task as images
from tasks.models import task as models
from tasks.offers import offers
from tasks.report import task as pdf
from tasks.tables import convert, preview
from tasks.videos import task as videos

TASKS = {
    task.name: task
    for task in (
        images.resize,
        models.train,
        pdf.report,
        convert.convert,
        documents.cover,
        videos.preview,
        preview.preview,
    )
}
WITHOUT_UPLOAD = {task.name: task for task in (examples.report, examples.train)}


def plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def test_every_offer_is_of_a_shipped_task():
    assert set(offers) == set(TASKS) | set(WITHOUT_UPLOAD)
    assert {name for name, offer in offers.items() if not offer.takes} == set(WITHOUT_UPLOAD)


@pytest.mark.parametrize("name", sorted({**TASKS, **WITHOUT_UPLOAD}))
def test_an_offer_names_each_argument_of_its_task_with_the_same_default(name):
    takes = list(signature({**TASKS, **WITHOUT_UPLOAD}[name].run).parameters.values())
    fields = offers[name].arguments.model_fields
    if offers[name].takes:
        assert takes.pop(0).name == "source"
    assert list(fields) == [one.name for one in takes]
    for one in takes:
        assert fields[one.name].is_required() == (one.default is Parameter.empty)
        if one.default is not Parameter.empty:
            assert fields[one.name].default == plain(one.default)


def test_no_offer_takes_more_bytes_than_its_task():
    caps = {
        "images.resize": images.MAX_INPUT_BYTES,
        "models.train": models.CAPS.bytes,
        "pdf.report": pdf.CAPS.bytes,
        "tables.convert": convert.CAPS.bytes,
        "tables.preview": convert.CAPS.bytes,
        "pdf.cover": documents.MAX_INPUT_BYTES,
        "video.preview": videos.MAX_INPUT_BYTES,
    }
    assert {name: offer.max_bytes for name, offer in offers.items() if offer.takes} == caps


def test_arguments_that_were_not_given_are_left_to_the_task():
    assert offers["images.resize"].checked({"widths": [200]}) == {"widths": [200]}


@pytest.mark.parametrize(
    "arguments",
    [
        {"widths": [0]},
        {"widths": [True]},
        {"widths": ["200"]},
        {"widths": [200] * 13},
        {"format": "svg"},
        {"source": {"id": "another"}},
        {"format": "webp", "path": "/etc/passwd"},
    ],
)
def test_arguments_that_a_task_does_not_take_are_refused_and_named(arguments):
    wrong = list(arguments)[-1]
    with pytest.raises(WrongType, match=wrong):
        offers["images.resize"].checked(arguments)


@pytest.mark.parametrize("task", ["tables.convert", "tables.preview", "pdf.report", "models.train"])
def test_tables_may_be_sent_as_tabs(task):
    assert set(offers[task].takes) == {"text/csv", "text/tab-separated-values"}
