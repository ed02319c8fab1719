"""Contest: what one result backend of Celery costs; run as `python -m benchmarks.celery_contest NAME`."""

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
from statistics import median

from benchmarks.asked import asked

MIB = 1 << 20
WAIT_S = 120


def main() -> None:
    os.environ |= {"BENCH_CONTESTANT": sys.argv[1], "BENCH_QUEUE": f"bench-{uuid.uuid4().hex}"}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BENCH_FOLDER"] = folder
        with working(Path(folder)) as worker:
            said = measure(worker, sys.argv[1])
    print(json.dumps(said))


@contextmanager
def working(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker with two children, in an environment like the client's."""
    command = [sys.executable, "-m", "celery", "-A", "benchmarks.queue_app", "worker", "--concurrency", "2"]
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen([*command, "--loglevel", "WARNING"], stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


def measure(worker: subprocess.Popen[bytes], name: str) -> dict[str, float]:
    from benchmarks import queue_app as jobs  # noqa: PLC0415 - it reads the environment that main has set

    jobs.add.delay(1, 1).get(timeout=WAIT_S)
    if name == "s3":
        return sizes(jobs, rounds={1: 5, 8: 3})
    if name == "long":
        return long_chord(jobs, worker)
    said = {"delay_get_small_p50_ms": ms(lambda: jobs.add.delay(1, 1).get(timeout=WAIT_S), rounds=300)}
    said |= asked(lambda: jobs.add.delay(1, 1).get(timeout=WAIT_S), times=200)
    base = max(mib(child, "VmRSS") for child in children(worker.pid))
    said |= sizes(jobs, rounds={1: 15, 8: 7, 32: 5})
    peak = max(mib(child, "VmHWM") for child in children(worker.pid))
    said |= {"worker_rss_32mib": peak, "worker_rss_32mib_over_base": peak - base}
    return said | {
        "state_poll_8mib_ms": poll(jobs),
        "group_1000_s": group(jobs) / 1000,
        "chord_100x1mb_s": chord(jobs, 100),
    }


def sizes(jobs, *, rounds: dict[int, int]) -> dict[str, float]:
    return {
        f"get_{mib}mib_ms": ms(lambda mib=mib: jobs.large.delay(mib * MIB).get(timeout=WAIT_S), rounds=times)
        for mib, times in rounds.items()
    }


def ms(work: Callable[[], object], *, rounds: int) -> float:
    """The median of `rounds`, in ms; one round in ten more goes before, uncounted."""
    taken = []
    for _ in range(rounds + max(2, rounds // 10)):
        began = time.perf_counter()
        work()
        taken.append((time.perf_counter() - began) * 1000)
    return median(taken[-rounds:])


def poll(jobs) -> float:
    sent = jobs.large.delay(8 * MIB)
    sent.get(timeout=WAIT_S)
    return ms(lambda: jobs.app.AsyncResult(sent.id).state, rounds=50)


def group(jobs) -> float:
    from celery import group  # noqa: PLC0415 - beside the app

    return ms(lambda: group(jobs.add.s(n, n) for n in range(1000))().get(timeout=WAIT_S), rounds=3)


def chord(jobs, parts: int) -> float:
    from celery import chord  # noqa: PLC0415 - beside the app

    def work() -> None:
        answer = chord(jobs.large.s(1_000_000) for _ in range(parts))(jobs.total.s()).get(timeout=WAIT_S)
        assert answer == parts * 1_000_000, answer

    return ms(work, rounds=3) / 1000


def long_chord(jobs, worker: subprocess.Popen[bytes]) -> dict[str, float]:
    """1,000 parts of 1 MB, one at a time in the body's hands: the largest message, and the largest process."""
    from celery import chord  # noqa: PLC0415 - beside the app

    jobs.LARGEST.write_text("")
    began = time.perf_counter()
    answer = chord(jobs.large.s(1_000_000) for _ in range(1000))(jobs.lazy_total.s()).get(timeout=WAIT_S)
    assert answer == 1_000_000_000, answer
    return {
        "chord_1000x1mb": max(map(int, jobs.LARGEST.read_text().split())) / 1024,
        "chord_1000x1mb_s": time.perf_counter() - began,
        "chord_1000x1mb_rss_mib": max(mib(one, "VmHWM") for one in [os.getpid(), worker.pid, *children(worker.pid)]),
    }


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def mib(pid: int, field: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


if __name__ == "__main__":
    main()
