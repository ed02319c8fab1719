"""Values that travel whole by `@keeps(spill=False)`, and references that `resolve` reads in messages."""

from collections.abc import Iterator

import pytest
from celery import Celery, chain, signals

from resultstore.backends.celery import keeps, resolve, setup
from resultstore.backends.celery.testing import working

WAIT_S = 60
LARGE = 30_000

app = Celery("whole", set_as_current=False)
app.conf.update(result_backend="resultstore+memory://", task_default_queue="whole")
setup(app)


@app.task
def length(rows: list[str], more: str = "") -> int:
    return len(rows) + len(more)


@pytest.fixture(scope="module", autouse=True)
def worker() -> Iterator[None]:
    with working(app):
        yield


@app.task
@keeps(spill=False)
def whole(text: str) -> list[str]:
    return [text, "whole"]


def test_task_that_keeps_no_spill_travels_whole():
    sent: list[object] = []

    def note_arguments(sender=None, body=None, **_: object) -> None:
        sent.append((sender, *body[0]))

    signals.before_task_publish.connect(note_arguments, weak=False)
    try:
        result = chain(whole.s("k" * LARGE), whole.s(), length.s())()
        assert result.get(timeout=WAIT_S) == 2
    finally:
        signals.before_task_publish.disconnect(note_arguments)

    first, second = "k" * LARGE, ["k" * LARGE, "whole"]
    assert sent[:2] == [(whole.name, first), (whole.name, second)]
    assert second[0] not in repr(sent[2])  # what the next task takes is not its matter
    assert result.parent.get(timeout=WAIT_S) == [second, "whole"]


def test_resolve_gives_values_where_messages_are_seen():
    seen_there: list[object] = []

    def look(body=None, **_: object) -> None:
        args, kwargs, _embed = body
        assert (args[0], kwargs["more"]) != (text, more)
        seen_there.extend([resolve(app, args), resolve(app, kwargs), resolve(app, args[0]), resolve(app, "plain")])

    text, more = "n" * LARGE, "o" * LARGE
    signals.before_task_publish.connect(look, weak=False)
    try:
        result = length.delay(text, more=more)
    finally:
        signals.before_task_publish.disconnect(look)
    assert result.get(timeout=WAIT_S) == 2 * LARGE
    assert seen_there == [[text], {"more": more}, text, "plain"]
