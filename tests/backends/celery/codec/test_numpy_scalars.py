"""Scalars of numpy in Celery's messages and results: written as the values that they hold."""

from collections import defaultdict
from typing import NamedTuple

import numpy as np
import pytest
from celery import Celery
from kombu.serialization import dumps, loads

from resultstore.backends.celery import setup
from resultstore.backends.celery.codec import kombu_types
from resultstore.backends.celery.testing import working


class Pair(NamedTuple):
    mean: object
    count: object


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.int64(3), 3),
        ([np.float32(0.5)], [0.5]),
        (defaultdict(int, a=np.uint8(1)), {"a": 1}),
        (Pair(np.float16(2), np.bool_(True)), [2.0, True]),
        (np.datetime64("2026-01-01T00:00:00", "s"), None),
    ],
    ids=str,
)
def test_json_has_the_value_of_a_scalar(value: object, plain: object):
    kombu_types.register()

    kind, encoding, written = dumps(value, "json")
    read = loads(written, kind, encoding)

    assert read == (value.item() if plain is None else plain)


def test_arguments_and_returned_values_may_be_scalars():
    app = Celery("jobs")
    setup(app)

    @app.task
    def add(x: float, y: float) -> object:
        return {"sum": np.float32(x + y), "kinds": [type(x).__name__, type(y).__name__]}

    with working(app):
        found = add.delay(np.int64(2), y=np.float32(0.5)).get(timeout=20)

    assert found == {"sum": 2.5, "kinds": ["int", "float"]}
