"""The published celery-batches: `make works-with`. It asks for Celery below 5.7: an environment of its own."""

from collections.abc import Iterator

import pytest
from celery import Celery, Task
from celery_batches import Batches

from tests.works_with.batch_checks import batch_task, check_owner, check_unreadable, check_values
from tests.works_with.conftest import working


@pytest.fixture(scope="module")
def lengths(app: Celery) -> Task:
    return batch_task(app, Batches)


@pytest.fixture(scope="module", autouse=True)
def worker(lengths: Task) -> Iterator[None]:
    with working(lengths.app):
        yield


def test_batch_gets_values_and_stores_outcomes(lengths: Task):
    check_values(lengths)


def test_batched_outcomes_keep_their_owner(lengths: Task, app: Celery):
    check_owner(lengths, app)


def test_unreadable_request_fails_alone(lengths: Task):
    check_unreadable(lengths)
