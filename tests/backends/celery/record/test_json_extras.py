"""Extras that Python's JSON writes and the standard's does not are stored as they are."""

import json

import pytest
from celery import Celery

from resultstore.backends.celery import setup
from resultstore.backends.celery.testing import working


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\udcff.csv"])
def test_result_with_odd_arguments_is_stored(value):
    app = Celery(broker="memory://", backend="resultstore+memory://", set_as_current=False)
    app.conf.result_extended = True
    setup(app)

    @app.task(shared=False)
    def first(given: object) -> int:
        return 1

    with working(app):
        assert first.delay(value).get(timeout=20) == 1


def test_usual_extras_are_written_compactly():
    app = Celery(broker="memory://", backend="resultstore+memory://", set_as_current=False)

    assert app.backend.encoded_extra({"a": [1, 2]}) == json.dumps({"a": [1, 2]}, separators=(",", ":")).encode()
