"""Hooks, signals and `self.request` see values, whatever their size, and what travels stays a reference."""

# ruff: noqa: ARG002, PLR0917 - Celery's signatures

import hashlib
import json
from collections.abc import Callable, Iterator

import pytest
from celery import Celery, Task, chain, chord, group, signals

from resultstore.backends.celery import LazyParts, setup
from resultstore.backends.celery.testing import working
from resultstore.model.spill import Spill
from resultstore.store import Store

WAIT_S = 60
LARGE = 30_000
Seen = dict[str, list[object]]

seen: Seen = {}
app = Celery("hooks", set_as_current=False)
app.conf.update(result_backend="resultstore+memory://", result_extended=True, task_default_queue="hooks")
setup(app)


def note(where: str, value: object) -> None:
    seen.setdefault(where, []).append(value)


class Hooked(Task):
    def before_start(self, task_id, args, kwargs):
        note("before_start", (args[0], kwargs["more"]))

    def on_success(self, retval, task_id, args, kwargs):
        note("on_success", (args[0], kwargs["more"]))
        note("on_success retval", retval)

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        note("on_failure", (args[0], kwargs["more"]))

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        note("on_retry", (args[0], kwargs["more"]))

    def after_return(self, status, retval, task_id, args, kwargs, einfo):
        note("after_return", (args[0], kwargs["more"]))
        if status == "SUCCESS":
            note("after_return retval", retval)


@app.task(base=Hooked, bind=True, max_retries=1, default_retry_delay=0)
def work(self: Task, text: str, how: str, more: str) -> list[str]:
    note("self.request", (self.request.args[0], self.request.kwargs["more"]))
    if how == "badly":
        raise KeyError(how)
    if how == "again" and self.request.retries < 1:
        raise self.retry(exc=KeyError(how))
    return [text, more]


@app.task(bind=True)
def unwatched(self: Task, text: str) -> str:
    note("self.request", self.request.args[0])
    return text


class Locks(Task):
    """What keeps one of several tasks with the same arguments away, as celery-singleton and celery-once do."""

    def before_start(self, task_id, args, kwargs):
        note("lock", hashlib.sha256(json.dumps([args, kwargs]).encode()).hexdigest())

    def after_return(self, status, retval, task_id, args, kwargs, einfo):
        note("unlock", hashlib.sha256(json.dumps([args, kwargs]).encode()).hexdigest())


@app.task(base=Locks)
def locked(rows: list[str], more: dict[str, str]) -> int:
    return len(rows) + len(more)


class Changes(Task):
    def on_success(self, retval, task_id, args, kwargs):
        retval.append("changed")
        note("sent on", length.delay(retval).id)


@app.task(base=Changes)
def made(count: int) -> list[str]:
    return ["row"] * count


@app.task
def length(rows: list[str]) -> int:
    return len(rows)


@app.task(bind=True, base=Hooked, max_retries=1, default_retry_delay=0)
def joined(self: Task, parts: LazyParts, more: str) -> int:
    note("parts", type(parts))
    if self.request.retries < 1:
        raise self.retry()
    return length.delay(parts).id and sum(map(len, parts))


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with working(app) as made_store:
        yield made_store


@pytest.fixture(autouse=True)
def nothing_seen() -> Iterator[None]:
    seen.clear()
    yield
    seen.clear()


@pytest.fixture
def listening() -> Iterator[None]:
    """Receivers of each signal that carries arguments or values."""

    def arguments(name: str) -> Callable[..., None]:
        def heard(args=None, kwargs=None, **_: object) -> None:
            if kwargs and "more" in kwargs:
                note(name, (args[0], kwargs["more"]))

        return heard

    def postrun(retval=None, state=None, kwargs=None, **_: object) -> None:
        if state == "SUCCESS" and "more" in kwargs:
            note("task_postrun retval", retval)

    def success(result=None, **_: object) -> None:
        note("task_success result", result)

    def retried(request=None, **_: object) -> None:
        note("task_retry", (request.args[0], request.kwargs["more"]))

    heard = [
        (signals.task_prerun, arguments("task_prerun")),
        (signals.task_postrun, arguments("task_postrun")),
        (signals.task_postrun, postrun),
        (signals.task_success, success),
        (signals.task_failure, arguments("task_failure")),
        (signals.task_retry, retried),
    ]
    for signal, receiver in heard:
        signal.connect(receiver, weak=False)
    yield
    for signal, receiver in heard:
        signal.disconnect(receiver)


@pytest.fixture
def largest() -> Iterator[list[int]]:
    """The size of each message's body that is sent."""
    sizes: list[int] = []

    def sent(body=None, **_: object) -> None:
        sizes.append(len(app.backend.encode(body)))

    signals.before_task_publish.connect(sent, weak=False)
    yield sizes
    signals.before_task_publish.disconnect(sent)


def ended(result) -> None:
    """Wait until all hooks have run: they run after the outcome was stored, and the pool has one thread."""
    result.get(timeout=WAIT_S, propagate=False)
    length.delay([]).get(timeout=WAIT_S)


EVERYWHERE = {"before_start", "after_return", "self.request", "task_prerun", "task_postrun"}


@pytest.mark.parametrize("size", [10, LARGE])
@pytest.mark.parametrize(
    ("how", "places"),
    [
        ("well", {"on_success"}),
        ("badly", {"on_failure", "task_failure"}),
        ("again", {"on_success", "on_retry", "task_retry"}),
    ],
)
def test_hooks_and_signals_see_values(store: Store, listening: None, size: int, how: str, places: set[str]):
    text, more = "t" * size, "m" * size

    ended(work.delay(text, how, more=more))

    of_values = {place for place in seen if place.endswith(("retval", "result"))}
    assert seen.keys() - of_values == EVERYWHERE | places
    for place in seen.keys() - of_values:
        assert set(seen[place]) == {(text, more)}, place
    if how != "badly":
        assert of_values == {
            "on_success retval",
            "after_return retval",
            "task_postrun retval",
            "task_success result",
        }
        assert [text, more] in seen["task_success result"]
        for place in of_values - {"task_success result"}:
            assert seen[place] == [[text, more]], place


@pytest.mark.parametrize("size", [10, LARGE])
def test_request_shows_values_without_any_hook(store: Store, size: int):
    ended(unwatched.delay("t" * size))
    assert seen == {"self.request": ["t" * size]}


def test_base_class_finds_the_lock_again(store: Store):
    ended(locked.delay(["row"] * LARGE, more={"text": "m" * LARGE}))
    assert (
        seen["lock"]
        == seen["unlock"]
        == [hashlib.sha256(json.dumps([[["row"] * LARGE], {"more": {"text": "m" * LARGE}}]).encode()).hexdigest()]
    )


def test_watched_values_travel_as_references(store: Store, largest: list[int]):
    text, more = "w" * LARGE, "v" * LARGE
    before = len(list(store.blobs.list("blobs/")))

    chained = chain(work.s(text, "well", more=more), length.s())()
    linked = work.apply_async((text, "well"), {"more": more}, link=[length.s(), group(length.s(), length.s())])
    spread = chain(work.s(text, "well", more=more), chord([length.s(), length.s()], length.s()))()
    parts = chord([work.s(text, "well", more=more), work.s(text, "well", more=more)], length.s())()

    assert [one.get(timeout=WAIT_S) for one in (chained, spread, parts)] == [2, 2, 2]
    ended(linked)
    assert max(largest) < 4_000
    # The two arguments once, the value of each of the five runs, and the list of the chord's parts: only an index in
    # Redis keeps these as references. The other results are small.
    assert len(list(store.blobs.list("blobs/"))) - before == 2 + 5 + 1


def test_value_that_a_hook_changed_is_sent_changed(store: Store):
    result = made.delay(LARGE)
    ended(result)
    assert app.AsyncResult(seen["sent on"][0]).get(timeout=WAIT_S) == LARGE + 1
    assert len(result.get(timeout=WAIT_S)) == LARGE


def test_retry_sends_the_references_it_got(store: Store, largest: list[int]):
    text, more = "r" * LARGE, "s" * LARGE
    before = len(list(store.blobs.list("blobs/")))
    result = work.delay(text, "again", more=more)
    assert result.get(timeout=WAIT_S) == [text, more]
    ended(result)
    assert max(largest) < 4_000
    assert len(list(store.blobs.list("blobs/"))) - before == 2 + 1


def test_lazy_parts_stay_lazy_and_travel(store: Store, largest: list[int]):
    parts = ["a" * LARGE, "b" * LARGE]
    header = group(unwatched.s(part) for part in parts)
    result = chord(header)(joined.s(more="m"))
    assert result.get(timeout=WAIT_S) == 2 * LARGE
    ended(result)
    assert seen["parts"] == [LazyParts, LazyParts]
    assert {type(args) for args, _ in seen["before_start"]} == {LazyParts}
    assert max(largest) < 4_000


def test_extended_result_gives_the_values_of_arguments(store: Store):
    text, more = "x" * LARGE, "y" * LARGE
    result = work.delay(text, "well", more=more)
    ended(result)
    assert len(store.load(result.id).extra) < 4_000
    assert app.AsyncResult(result.id).args == [text, "well"]
    assert app.AsyncResult(result.id).kwargs == {"more": more}


def test_argument_that_cannot_be_read_stays_a_reference(store: Store):
    def lose(**_: object) -> None:
        store.blobs.delete([one.key for one in store.blobs.list("blobs/")])

    signals.before_task_publish.connect(lose, weak=False)
    try:
        result = work.delay("z" * LARGE, "well", more="m")
    finally:
        signals.before_task_publish.disconnect(lose)
    ended(result)
    assert type(result.result).__name__ == "ArtifactMissing"
    for place in ("before_start", "on_failure"):
        assert {type(args) for args, _ in seen[place]} == {Spill}
