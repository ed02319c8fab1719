"""canvas_bytes: what chains, groups and chords of small results keep in Redis, compared with Celery's Redis backend.

`python -m benchmarks.canvas_bytes NAME` measures one contestant and prints a line of JSON: for each workload the bytes
of each task (`MEMORY USAGE` of every key, summed), and below it the same by kinds of keys.
"""

import json
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from typing import Any

import redis
from celery import Celery, Task, chain, chord, group
from celery.contrib.testing.worker import start_worker

from benchmarks.measuring import Row, in_a_process, row
from resultstore.backends.celery import setup

WAIT_S = 60
_DATABASE = 11  # of the Redis under RS_TEST_REDIS_URL: it is emptied
_HEX_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
_HASH = re.compile(r"[0-9a-f]{16}")

Total = dict[str, float]


def run() -> list[Row]:
    peer = in_a_process(__name__, "redis")
    return [
        row(f"{name}_bytes_a_task_{ours}", "bytes", measured[name], "Celery redis backend", peer[name], bound=1.0)
        for ours in ("setup", "url")
        for measured in [in_a_process(__name__, ours)]
        for name in WORKLOADS
    ]


def add(x: Any, y: Any) -> Any:
    return x + y


def total(numbers: list[int]) -> int:
    return sum(numbers)


def single(add: Task, _: Task) -> int:
    for n in range(20):
        add.delay(n, n).get(timeout=WAIT_S)
    return 20


def chains(add: Task, _: Task) -> int:
    for n in range(10):
        chain(add.s(n, n), *(add.s(1) for _ in range(4)))().get(timeout=WAIT_S)
    return 50


def groups(add: Task, _: Task) -> int:
    for _ in range(5):
        group(add.s(n, n) for n in range(10))().get(timeout=WAIT_S)
    return 50


def chords(add: Task, total: Task) -> int:
    for _ in range(5):
        chord((add.s(n, n) for n in range(10)), total.s())().get(timeout=WAIT_S)
    return 55


def mixed(add: Task, total: Task) -> int:
    """Run a chain of a task, a group that becomes a chord, and another task."""
    for n in range(5):
        chain(add.s(n, n), group(add.s(n) for n in range(5)), total.s(), add.s(1))().get(timeout=WAIT_S)
    return 5 * 8


def wide(add: Task, total: Task) -> int:
    """Run a chain of a task and a chord with a header of 50 tasks."""
    for n in range(2):
        chain(add.s(n, n), group(add.s(n) for n in range(50)), total.s())().get(timeout=WAIT_S)
    return 2 * 52


def texts(add: Task, _: Task) -> int:
    """Run chains whose values have 50 to 320 bytes."""
    for size in range(40, 80, 4):
        chain(add.s("x" * 10, "y" * size), *(add.s("z" * size) for _ in range(3)))().get(timeout=WAIT_S)
    return 40


WORKLOADS: dict[str, Callable[[Task, Task], int]] = {
    "single": single,
    "chain": chains,
    "group": groups,
    "chord": chords,
    "mixed": mixed,
    "wide": wide,
    "texts": texts,
}


def measure(contestant: str, server_url: str) -> dict[str, float | Total]:
    """Return the bytes of each task of each workload for `redis`, `url` or `setup`; empties a database of the server.

    Args:
        contestant: Celery's own backend; ours by its URL alone; ours with `setup(app)` and an object store.
        server_url: a Redis, with the number of a database.
    """
    url = f"{server_url.rsplit('/', 1)[0]}/{_DATABASE}"
    app = Celery("canvas", broker="memory://", backend=url if contestant == "redis" else f"resultstore+{url}")
    app.conf.update(broker_transport_options={"polling_interval": 0.01}, result_chord_join_timeout=WAIT_S)
    with tempfile.TemporaryDirectory() as folder, redis.Redis.from_url(url) as client:
        if contestant == "setup":
            app.conf.resultstore_blobs_url = f"file://{folder}"
            setup(app)
        tasks = app.task(add, name="shop.orders.tasks.add_up"), app.task(total, name="shop.orders.tasks.total")
        with start_worker(
            app, pool="solo", hostname="celery@worker-7f9c5d-x2k4", perform_ping_check=False, shutdown_timeout=WAIT_S
        ):
            tasks[0].delay(1, 1).get(timeout=WAIT_S)
            return _measure_each(client, tasks)


def _measure_each(client: redis.Redis, tasks: tuple[Task, Task]) -> dict[str, float | Total]:
    found: dict[str, float | Total] = {}
    for name, workload in WORKLOADS.items():
        client.flushdb()
        times = workload(*tasks)
        kinds: Counter[str] = Counter()
        for key in client.scan_iter(count=1000):
            if used := client.memory_usage(key, samples=0):
                kinds[_HASH.sub("HASH", _HEX_ID.sub("ID", key.decode()))] += used
        found[name] = round(kinds.total() / times, 1)
        found[f"{name}_kinds"] = {kind: round(size / times, 1) for kind, size in kinds.most_common()}
    client.flushdb()
    return found


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], os.environ["RS_TEST_REDIS_URL"])))
