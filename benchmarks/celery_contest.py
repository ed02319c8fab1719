"""Measures one result backend of Celery: `python -m benchmarks.celery_contest NAME`.

Each line of standard input names a figure; the answer is one line of JSON with the measurement. `celery_results` keeps
one process for each backend and asks them in turn, so that other load on the machine affects all of them.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.redis_commands import count_commands

MIB = 1 << 20
WAIT_S = 120


def main() -> None:
    os.environ |= {"BENCH_CONTESTANT": sys.argv[1], "BENCH_QUEUE": f"bench-{uuid.uuid4().hex}"}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BENCH_FOLDER"] = folder
        with working(Path(folder)) as worker:
            from benchmarks import queue_app as jobs  # noqa: PLC0415 - it reads the environment that was set above

            jobs.add.delay(1, 1).get(timeout=WAIT_S)
            for line in sys.stdin:
                print(json.dumps(FIGURES[line.strip()](jobs, worker)), flush=True)


@contextmanager
def working(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker with two children, in the client's environment."""
    name = f"{os.environ['BENCH_QUEUE']}@%h"  # of two workers with one name the second consumes nothing
    command = [sys.executable, "-m", "celery", "-A", "benchmarks.queue_app", "worker", "--concurrency", "2", "-n", name]
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--loglevel", "WARNING"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


def ms(work: Callable[[], object], *, rounds: int) -> list[float]:
    """Return how long each round took, in milliseconds."""
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        taken.append((time.perf_counter() - began) * 1000)
    return taken


def small(jobs, _) -> list[float]:
    return ms(lambda: jobs.add.delay(1, 1).get(timeout=WAIT_S), rounds=30)


def sized(size_mib: int, *, rounds: int):
    return lambda jobs, _: ms(lambda: jobs.large.delay(size_mib * MIB).get(timeout=WAIT_S), rounds=rounds)


def poll(jobs, _) -> list[float]:
    sent = jobs.large.delay(8 * MIB)
    sent.get(timeout=WAIT_S)
    return ms(lambda: jobs.app.AsyncResult(sent.id).state, rounds=50)


def group(jobs, _) -> list[float]:
    from celery import group  # noqa: PLC0415 - after the app

    return ms(lambda: group(jobs.add.s(n, n) for n in range(1000))().get(timeout=WAIT_S), rounds=1)


def chord(jobs, _) -> list[float]:
    from celery import chord  # noqa: PLC0415 - after the app

    def work() -> None:
        answer = chord(jobs.large.s(1_000_000) for _ in range(100))(jobs.total.s()).get(timeout=WAIT_S)
        assert answer == 100_000_000, answer

    return ms(work, rounds=1)


def long_chord(jobs, worker: subprocess.Popen[bytes]) -> dict[str, float]:
    """Run a chord of 1,000 parts of 1 MB, which its body reads one by one; return its largest message and process."""
    from celery import chord  # noqa: PLC0415 - after the app

    jobs.LARGEST.write_text("")
    answer = chord(jobs.large.s(1_000_000) for _ in range(1000))(jobs.lazy_total.s()).get(timeout=WAIT_S)
    assert answer == 1_000_000_000, answer
    return {
        "chord_1000x1mb": max(map(int, jobs.LARGEST.read_text().split())) / 1024,
        "chord_1000x1mb_rss_mib": max(mib(one, "VmHWM") for one in [os.getpid(), worker.pid, *children(worker.pid)]),
    }


def commands(jobs, _) -> dict[str, float]:
    """Count the commands of small results. No other client may use Redis at the same time."""
    return count_commands(lambda: jobs.add.delay(1, 1).get(timeout=WAIT_S), times=200)


def rss(field: str):
    """Return a function that reads this field of the worker's largest child, in MiB."""
    return lambda _, worker: max(mib(child, field) for child in children(worker.pid))


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def mib(pid: int, field: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


FIGURES = {
    "delay_get_small_p50_ms": small,
    "get_1mib_ms": sized(1, rounds=5),
    "get_8mib_ms": sized(8, rounds=2),
    "get_32mib_ms": sized(32, rounds=1),
    "state_poll_8mib_ms": poll,
    "group_1000_s": group,
    "chord_100x1mb_s": chord,
    "long_chord": long_chord,
    "commands": commands,
    "rss": rss("VmRSS"),
    "rss_peak": rss("VmHWM"),
}


if __name__ == "__main__":
    main()
