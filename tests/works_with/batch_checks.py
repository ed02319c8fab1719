"""What a batch task must get and may store: for the pattern, and for the published celery-batches."""

import re

from celery import Celery, Task
from celery.signals import before_task_publish

from resultstore import ArtifactMissing
from resultstore.backends.celery import store_of
from tests.works_with.conftest import LARGE, WAIT_S


def batch_task(app: Celery, batches: type[Task]) -> Task:
    """A task that stores the length of its two arguments for each request; of the last one a large value."""

    @app.task(base=batches, name="lengths", flush_every=2)
    def lengths(requests):
        for one in requests:
            text, more = one.args[0], one.kwargs.get("more", "")
            value = text * 2 if text.startswith("twice") else len(text) + len(more)
            app.backend.mark_as_done(one.id, value, request=one)

    return lengths


def check_values(lengths: Task) -> None:
    """Large arguments are values, large outcomes come back."""
    small, large = lengths.delay("abc"), lengths.delay("l" * LARGE, more="m" * LARGE)
    assert (small.get(timeout=WAIT_S), large.get(timeout=WAIT_S)) == (3, 2 * LARGE)

    twice, other = lengths.delay("twice" * LARGE), lengths.delay("")
    assert (twice.get(timeout=WAIT_S), other.get(timeout=WAIT_S)) == ("twice" * LARGE * 2, 0)


def check_owner(lengths: Task, app: Celery) -> None:
    """The outcome belongs to the owner that the message names."""
    headers = {"resultstore_owner": "ann"}
    first, second = (lengths.apply_async(("ab",), headers=headers) for _ in range(2))
    assert (first.get(timeout=WAIT_S), second.get(timeout=WAIT_S)) == (2, 2)
    assert store_of(app).peek(first.id).owner == "ann"
    assert store_of(app).peek(first.id).task == "lengths"


def check_unreadable(lengths: Task) -> None:
    """One request whose value is not stored any more fails alone."""
    keys: list[str] = []

    def note(body: object = None, **_: object) -> None:
        keys.extend(re.findall(r"blobs/[\w/.-]+", repr(body)))

    before_task_publish.connect(note)
    try:
        lost = lengths.delay("g" * LARGE)
    finally:
        before_task_publish.disconnect(note)
    store_of(lengths.app).blobs.delete(keys)
    other = lengths.delay("abc")

    assert isinstance(lost.get(timeout=WAIT_S, propagate=False), ArtifactMissing)
    assert other.get(timeout=WAIT_S) == 3
