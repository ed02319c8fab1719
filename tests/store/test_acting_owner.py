"""Which owner a task acts for: in its own code, in its threads, and for the system."""

import threading
from collections.abc import Callable
from contextvars import copy_context

import pytest

from resultstore import Artifact, NotYours, Settings, Store, connect
from resultstore.model.result import Progress, State
from resultstore.store.attempt import Attempt, running

SYSTEM = "reports.*, nightly"


@pytest.fixture
def store() -> Store:
    return connect(Settings(index_url="memory://", blobs_url="memory://", secret_key="k" * 32, system_tasks=SYSTEM))


@pytest.fixture
def anns(store: Store) -> Artifact:
    attempt = Attempt("anns", owner="ann")
    with running(attempt):
        artifact = store.put(b"private", name="a.txt")
    store.seal(attempt)
    return artifact


def in_thread(call: Callable[[], object]) -> object:
    """What `call` returns or raises in a thread without the task's context."""
    got: list[object] = []

    def run() -> None:
        try:
            got.append(call())
        except Exception as error:  # noqa: BLE001 - it is what was got
            got.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    return got[0]


@pytest.mark.parametrize("owner", ["bob", ""])
def test_a_thread_of_a_task_has_its_owner(store: Store, anns: Artifact, owner: str):
    with running(Attempt("job", task="work", owner=owner)):
        with pytest.raises(NotYours):
            store.open(anns)
        refused = in_thread(lambda: store.open(anns))

    assert isinstance(refused, NotYours)
    assert "on_behalf_of" in str(refused)


def test_a_thread_of_the_owners_task_may_read(store: Store, anns: Artifact):
    with running(Attempt("job", task="work", owner="ann")):
        assert in_thread(lambda: store.open(anns).read()) == b"private"


def test_outside_a_task_everything_is_read(store: Store, anns: Artifact):
    assert in_thread(lambda: store.open(anns).read()) == b"private"
    assert store.open(anns).read() == b"private"


def test_a_thread_of_unknown_task_reads_nothing_owned(store: Store, anns: Artifact):
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with running(Attempt("other", owner="ann")):
            entered.set()
            leave.wait(60)

    beside = threading.Thread(target=other)
    beside.start()
    entered.wait(60)
    with running(Attempt("job", owner="bob")):
        refused = in_thread(lambda: store.open(anns))
        allowed = in_thread(lambda: copy_context().run(store.open, store.put(b"free", name="f.txt")))
    leave.set()
    beside.join(60)

    assert isinstance(refused, NotYours)
    assert "copy_context" in str(refused)
    assert not isinstance(allowed, Exception)


@pytest.mark.parametrize("task", ["nightly", "reports.monthly"])
@pytest.mark.parametrize("where", [lambda call: call(), in_thread])
def test_system_task_reads_for_an_owner(store: Store, anns: Artifact, task: str, where: Callable):
    with running(Attempt("job", task=task)):
        assert where(lambda: store.open(anns, on_behalf_of="ann").read()) == b"private"
        with pytest.raises(NotYours, match="another owner"):
            store.open(anns)
        with pytest.raises(NotYours, match=r"belongs to another owner"):
            store.open(anns, on_behalf_of="bob")


@pytest.mark.parametrize("task", ["nightly2", "report", "", "my.reports.x"])
def test_no_other_task_reads_on_behalf_of(store: Store, anns: Artifact, task: str):
    with (
        running(Attempt("job", task=task, owner="bob")),
        pytest.raises(NotYours, match="name it in RESULTSTORE_SYSTEM_TASKS"),
    ):
        store.open(anns, on_behalf_of="ann")


def test_a_link_follows_the_same_rule(anns: Artifact, store: Store):
    with running(Attempt("job", task="work", owner="bob")), pytest.raises(NotYours, match="RESULTSTORE_SYSTEM_TASKS"):
        store.link(anns, on_behalf_of="ann")


def test_a_client_may_say_for_whom_it_reads(store: Store, anns: Artifact):
    assert store.open(anns, on_behalf_of="ann").read() == b"private"
    with pytest.raises(NotYours, match="than `on_behalf_of`"):
        store.open(anns, on_behalf_of="bob")


def test_a_thread_stores_for_its_tasks_owner(store: Store):
    with running(Attempt("job", owner="ann")):
        artifact = in_thread(lambda: store.put(b"x", name="x.txt"))

    assert store.load(artifact.id).owner == "ann"


def test_a_thread_of_a_task_shows_progress(store: Store):
    with running(Attempt("job", owner="ann")):
        in_thread(lambda: store.progress(3, 10, "third"))

    found = store.load("job")
    assert (found.state, found.progress) == (State.PROGRESS, Progress(3, 10, "third"))


def test_progress_that_belongs_to_no_task_is_logged(store: Store, caplog: pytest.LogCaptureFixture):
    with running(Attempt("one")), running(Attempt("two")):
        in_thread(lambda: store.progress(1))

    assert "progress_not_shown" in caplog.text
    assert store.load("one") is None
    assert store.load("two") is None
