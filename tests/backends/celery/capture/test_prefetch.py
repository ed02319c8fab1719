"""Prefetching by itself: one value at a time, of this process, and not too long."""

import threading
from collections.abc import Callable

import pytest

from resultstore.backends.celery.capture import prefetch
from resultstore.backends.celery.capture.prefetch import Prefetcher
from resultstore.model.errors import BlobStoreUnavailable
from resultstore.model.spill import Spill


def spill(name: str, *, size_bytes: int = 1_000_000) -> Spill:
    return Spill(
        id=name, key=name, size_bytes=size_bytes, stored_bytes=9, sha256="0" * 64, media_type="application/json"
    )


class Opens:
    """Gives values when it is let."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.let = threading.Event()

    def __call__(self, one: Spill) -> object:
        self.asked.append(one.id)
        assert self.let.wait(5)
        return "the value of " + one.id


@pytest.fixture
def opens() -> Opens:
    return Opens()


def test_early_reader_waits_for_the_prefetch(opens: Opens):
    ahead = Prefetcher(opens)
    ahead.begin(spill("a"))
    threading.Timer(0.1, opens.let.set).start()
    assert ahead.take(spill("a")) == "the value of a"


def test_it_is_given_out_once(opens: Opens):
    opens.let.set()
    ahead = Prefetcher(opens)
    ahead.begin(spill("a"))
    assert ahead.take(spill("a")) == "the value of a"
    assert ahead.take(spill("a")) == spill("a")


def test_other_values_are_returned_unchanged(opens: Opens):
    opens.let.set()
    ahead = Prefetcher(opens)
    ahead.begin(spill("a"))
    for other in ("plain", None, [spill("a")], spill("b"), spill("a", size_bytes=1)):
        assert ahead.take(other) == other


def test_nothing_else_is_begun_meanwhile(opens: Opens):
    ahead = Prefetcher(opens)
    ahead.begin(spill("a"))
    ahead.begin(spill("b"))
    opens.let.set()
    assert ahead.take(spill("b")) == spill("b")
    assert ahead.take(spill("a")) == "the value of a"
    assert opens.asked == ["a"]


def test_next_prefetch_replaces_an_unread_one(opens: Opens):
    opens.let.set()
    ahead = Prefetcher(opens)
    ahead.begin(spill("a"))
    ahead._pending["a"].value.result(5)
    ahead.begin(spill("b"))
    assert ahead.take(spill("a")) == spill("a")
    assert ahead.take(spill("b")) == "the value of b"


def test_a_long_value_is_left_to_its_reader(opens: Opens):
    ahead = Prefetcher(opens)
    ahead.begin(spill("a", size_bytes=(4 << 20) + 1))
    assert ahead.take(spill("a", size_bytes=(4 << 20) + 1)).id == "a"
    assert opens.asked == []


@pytest.mark.parametrize("error", [BlobStoreUnavailable("away"), SystemExit(), BaseException("a panic below Python")])
def test_failed_prefetch_is_left_to_its_reader(error: BaseException):
    def away(_: Spill) -> object:
        raise error

    ahead = Prefetcher(away)
    ahead.begin(spill("a"))
    assert ahead.take(spill("a")) == spill("a")


def test_without_a_thread_the_reader_fetches(opens: Opens, monkeypatch: pytest.MonkeyPatch):
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    ahead = Prefetcher(opens)
    with monkeypatch.context() as exhausted:
        exhausted.setattr(threading.Thread, "start", start)
        ahead.begin(spill("a"))
    assert ahead.take(spill("a")) == spill("a")


@pytest.fixture
def fork(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on this is another process, which has none of its parent's threads."""
    return lambda: monkeypatch.setattr(prefetch.os, "getpid", lambda: -1)


def test_fork_does_not_wait_for_its_parents_prefetch(opens: Opens, fork: Callable[[], None]):
    ahead = Prefetcher(opens)
    ahead.begin(spill("a"))
    fork()
    assert ahead.take(spill("a")) == spill("a")
    assert not opens.let.is_set(), "the parent's fetch has not ended"


def test_a_fork_fetches_whatever_its_parent_fetches(opens: Opens, fork: Callable[[], None]):
    ahead = Prefetcher(opens)
    ahead.begin(spill("a"))
    fork()
    ahead.begin(spill("b"))
    opens.let.set()
    assert ahead.take(spill("b")) == "the value of b"
