"""put(progress=...): reports what was sent, to the caller or as the task's progress."""

from pathlib import Path

from resultstore import Store
from resultstore.store.attempt import Attempt, running

MIB = 1 << 20


def test_function_gets_sent_and_total_bytes(store: Store, tmp_path: Path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"x" * (2 * MIB + 5))
    seen: list[tuple[int, int]] = []

    store.put(path, progress=lambda sent, total: seen.append((sent, total)))

    assert seen == [(MIB, 2 * MIB + 5), (2 * MIB, 2 * MIB + 5), (2 * MIB + 5, 2 * MIB + 5)]


def test_total_of_an_iterator_is_unknown(store: Store):
    seen: list[tuple[int, int]] = []

    store.put(iter([b"x" * 3, b"y" * 4]), progress=lambda sent, total: seen.append((sent, total)), compress=True)

    assert seen == [(3, 0), (7, 0)]


def test_true_reports_as_the_tasks_progress(store: Store, tmp_path: Path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"x" * (MIB + 1))

    with running(Attempt("job")) as attempt:
        store.put(path, progress=True)

    assert (attempt.progress.done, attempt.progress.total) == (MIB + 1, MIB + 1)
    assert store.load("job").progress == attempt.progress


def test_true_outside_a_task_reports_nothing(store: Store):
    assert store.put(b"x", progress=True).size_bytes == 1


def test_without_progress_nothing_is_reported(store: Store):
    with running(Attempt("job")) as attempt:
        store.put(b"x")

    assert attempt.progress is None
