"""Spill, for every way to make and call a task: a real worker on a thread, its messages and values in memory."""

from collections.abc import Iterator

import pytest
from celery import Task, chain, chord, group
from celery.signals import before_task_publish
from kombu.serialization import dumps

from resultstore import ArtifactExpired, Store
from resultstore.backends.celery.testing import working
from resultstore.model.layout import DAY_S
from tests.backends.celery.celery_versions import since
from tests.backends.celery.spill_jobs import (
    app,
    blocks,
    bound,
    django,
    errback,
    errback_without_run,
    gate,
    heard,
    length,
    make,
    output,
    raises,
    recursive,
    registered,
    replaces,
    replaces_by_group,
    retries,
    same,
    streams_after_a_retry,
    streams_below_a_call,
    typed,
    with_base,
    with_super,
    without_super,
)

BIG = "b" * 100_000

pytestmark = pytest.mark.usefixtures("largest")


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with working(app) as made:
        yield made


@pytest.fixture
def largest(store: Store) -> Iterator[list[int]]:
    """The length of each message's body; none is ever large."""
    sizes: list[int] = []

    def measure(body: object = None, **_: object) -> None:
        sizes.append(len(dumps(body, "json")[2]))

    before_task_publish.connect(measure)
    try:
        yield sizes
    finally:
        before_task_publish.disconnect(measure)
    assert sizes
    assert max(sizes) < 16_384, "a large value was in a message"


def blobs(store: Store) -> set[str]:
    return {stored.key for stored in store.blobs.list("blobs/")}


@pytest.mark.parametrize(
    "task", [with_base, django, registered, without_super, bound, recursive, retries], ids=lambda task: task.name
)
def test_any_kind_of_task_handles_large_values(task: Task):
    assert task.delay(BIG).get(timeout=10) == BIG * 2


def test_own_call_may_change_what_run_returns():
    assert with_super.delay(BIG).get(timeout=10) == BIG * 2 + "after"
    assert with_super.delay("small").get(timeout=10) == "smallsmallafter"


@pytest.mark.parametrize("task", [streams_after_a_retry, streams_below_a_call], ids=lambda task: task.name)
def test_failed_generator_is_retried_with_its_large_argument(store: Store, task: Task):
    with store.open(task.delay(BIG).get(timeout=10)) as content:
        assert content.read() == BIG.encode()


@since("5.5", "the option `pydantic` of a task")
def test_pydantic_models_are_made_of_large_arguments():
    assert typed.delay({"text": BIG}).get(timeout=10) == {"text": BIG * 2}


def test_a_shared_task_is_covered():
    assert app.tasks["matrix.shared"].delay(BIG).get(timeout=10) == BIG * 2


def test_keyword_arguments_are_spilled_one_by_one():
    assert same.delay("small", a=BIG, b=[BIG, 1], c=2).get(timeout=10) == ["small", {"a": BIG, "b": [BIG, 1], "c": 2}]


def test_a_chain_hands_large_values_on():
    assert chain(make.s(), same.s(), length.s())().get(timeout=10) == 100_000


def test_chain_link_may_have_large_arguments():
    assert chain(length.s(BIG), same.s(more=BIG), same.s())().get(timeout=10) == [100_000, {"more": BIG}]


def test_chord_body_gets_values_and_its_large_argument():
    body = same.s(own=BIG)

    values, own = chord([make.s(100_000 + n) for n in range(30)])(body).get(timeout=20)

    assert [len(value) for value in values] == [100_000 + n for n in range(30)]
    assert own == {"own": BIG}


def test_a_header_with_groups_gives_values():
    values = chord([group(make.s(20_000), make.s(1)), make.s(20_001)])(same.s()).get(timeout=20)

    assert sorted(len(value) for value in values) == [1, 20_000, 20_001]


def test_built_in_tasks_pass_large_values():
    assert same.map([BIG, "small", BIG + "2"]).apply_async().get(timeout=10) == [BIG, "small", BIG + "2"]
    assert with_base.starmap([(BIG,), ("s",)]).apply_async().get(timeout=10) == [BIG * 2, "ss"]
    assert same.chunks([(BIG,), ("s",), (BIG,)], 2).apply_async().get(timeout=10) == [[BIG, "s"], [BIG]]
    assert chain(length.si("x"), same.map([BIG, "s"])).apply_async().get(timeout=10) == [BIG, "s"]


def test_outputs_of_a_mapped_task_are_captured(store: Store):
    first, _ = output.map([BIG, "small"]).apply_async().get(timeout=10)
    with store.open(first) as content:
        assert content.read() == BIG.encode()


def test_a_replaced_task_passes_large_values():
    assert replaces.delay(BIG).get(timeout=10) == BIG + BIG
    assert replaces_by_group.delay(BIG).get(timeout=10) == [BIG + "1", BIG + "2"]


def test_callbacks_get_values_and_errbacks_large_arguments():
    linked = make.apply_async(link=[length.s().set(task_id="linked"), length.si(BIG).set(task_id="immutable")])
    linked.get(timeout=10)
    assert app.AsyncResult("linked").get(timeout=10) == 100_000
    assert app.AsyncResult("immutable").get(timeout=10) == 100_000

    with pytest.raises(ValueError, match="100000"):
        raises.apply_async((BIG,), link_error=length.si(BIG + "e").set(task_id="errback")).get(timeout=10)
    assert app.AsyncResult("errback").get(timeout=10) == 100_001


def test_errbacks_called_directly_get_their_large_arguments():
    heard.clear()

    for number, each in enumerate((errback, errback_without_run)):
        with pytest.raises(ValueError, match="1"):
            raises.apply_async(("x",), link_error=each.s(BIG + "e" * number)).get(timeout=10)
    length.delay("the errbacks are called before the next task").get(timeout=10)

    assert heard == [100_000, 100_001]


def test_replaced_chain_keeps_its_shape_when_spilled(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(type(app.backend.spills), "limit_bytes", 0)

    assert replaces_by_group.delay("x").get(timeout=10) == ["x1", "x2"]
    assert chain(replaces_by_group.s("x"), same.s())().get(timeout=10) == ["x1", "x2"]
    assert chain(length.si("x"), group(same.si(1), same.si(2)), same.s())().get(timeout=10) == [1, 2]
    assert chain(length.si("x"), chord([same.si(1)], same.s()))().get(timeout=10) == [1]


def test_stamped_headers_stay_with_large_arguments():
    signature = same.s(BIG)
    signature.stamp(stamp="mark")

    assert signature.apply_async().get(timeout=10) == BIG


def test_ignored_value_is_not_stored_but_passed_on(store: Store):
    before = blobs(store)
    ignored = make.apply_async(ignore_result=True, link=length.s().set(task_id="after-ignored"))

    assert app.AsyncResult("after-ignored").get(timeout=10) == 100_000
    assert not any(ignored.id in key for key in blobs(store))
    assert len(blobs(store) - before) == 1


def test_a_value_that_celery_copies_is_uploaded_once(store: Store):
    before = blobs(store)
    partial = "p" * 100_000

    chord([length.s("x") for _ in range(20)])(same.si(partial)).get(timeout=20)
    group(length.s(partial) for _ in range(20))().get(timeout=20)
    retries.delay(partial).get(timeout=10)

    made = blobs(store) - before
    assert len([key for key in made if "/spill-" in key]) == 1
    assert len(made) == 3  # the argument, the body's value, the retried task's


def test_expired_reference_is_an_error_with_its_id(store: Store, monkeypatch: pytest.MonkeyPatch):
    busy = blocks.delay()
    late = length.delay(BIG + "late")
    now = store.blobs.now
    with monkeypatch.context() as later:
        later.setattr(store.blobs, "now", lambda: now() + 31 * DAY_S)
        gate.set()
        busy.get(timeout=10)

        with pytest.raises(ArtifactExpired, match="spill-"):
            late.get(timeout=10)


def test_eager_tasks_spill_nothing(store: Store):
    before = blobs(store)

    assert make.apply().get() == "m" * 100_000
    assert same.apply((BIG,)).get() == BIG
    assert length.delay("a message").get(timeout=10) == 9
    assert blobs(store) == before
