"""celery_results: compares resultstore with Celery's own Redis and S3 backends, over RabbitMQ, in turn."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from statistics import median
from typing import Any

from benchmarks.measuring import Row, bucket, row, settle
from benchmarks.records import bytes_each

CONTESTANTS = ("setup", "url", "redis", "s3")
OF_S3 = ("get_1mib_ms", "get_8mib_ms")
# How often each contestant measures a figure; the first time is a warm-up, and is not counted.
TURNS = {
    "delay_get_small_p50_ms": 31,
    "get_1mib_ms": 15,
    "get_8mib_ms": 7,
    "get_32mib_ms": 9,
    "state_poll_8mib_ms": 3,
    "group_1000_s": 13,
    "chord_100x1mb_s": 7,
}
# The figure, its unit, and the largest ratio allowed: ours / Celery's Redis backend.
OF_REDIS = {
    "delay_get_small_p50_ms": ("ms", 1.0),
    "get_1mib_ms": ("ms", 1.0),
    "get_8mib_ms": ("ms", 0.5),
    "get_32mib_ms": ("ms", 0.4),
    "group_1000_s": ("s", 1.0),
    "chord_100x1mb_s": ("s", 0.4),
    "worker_rss_32mib": ("MiB", 0.5),
    "worker_rss_32mib_over_base": ("MiB", None),
    "redis_commands_per_result": ("commands sent", 0.5),
    "redis_commands_with_scripts": ("commands run", None),
}
PEER = "Celery redis backend"
S3_BOUND = 0.1
POLL_BOUND_MS = 1.0
RECORD_BOUND_BYTES = 260.0
MESSAGE_BOUND_KIB, PROCESS_BOUND_MIB = 256.0, 300.0


def run() -> list[Row]:
    with bucket() as name, ExitStack() as held:
        os.environ |= {
            "RESULTSTORE_BLOBS_URL": f"s3://{name}/ours",
            "RESULTSTORE_S3_ENDPOINT": os.environ["RS_TEST_S3_ENDPOINT"],
            "RESULTSTORE_SECRET_KEY": "b" * 64,
        }
        long = alone("long", "long_chord")
        said = {contestant: alone(contestant, "commands") for contestant in CONTESTANTS if contestant != "s3"}
        said["s3"] = {}
        asked = {contestant: held.enter_context(open_contestant(contestant)) for contestant in CONTESTANTS}
        base = {contestant: ask("delay_get_small_p50_ms") and ask("rss") for contestant, ask in asked.items()}
        for figure in TURNS:
            in_turn(figure, asked, said)
            if figure == "get_32mib_ms":
                peak = {contestant: ask("rss_peak") for contestant, ask in asked.items()}
        for contestant, known in said.items():
            known["worker_rss_32mib"] = peak[contestant]
            known["worker_rss_32mib_over_base"] = peak[contestant] - base[contestant]
    return rows(said, long)


def rows(said: dict[str, dict[str, float]], long: dict[str, float]) -> list[Row]:
    setup, url, redis, s3 = (said[name] for name in CONTESTANTS)
    return [
        *(row(name, unit, setup[name], PEER, redis[name], bound=bound) for name, (unit, bound) in OF_REDIS.items()),
        *(row(f"{name} (URL only)", unit, url[name], PEER, redis[name]) for name, (unit, _) in OF_REDIS.items()),
        row("get_1mib_ms", "ms", setup["get_1mib_ms"], "Celery s3 backend", s3["get_1mib_ms"], bound=S3_BOUND),
        row("get_8mib_ms", "ms", setup["get_8mib_ms"], "Celery s3 backend", s3["get_8mib_ms"]),
        *absolute(setup | long, redis),
    ]


def in_turn(figure: str, asked: dict[str, Any], said: dict[str, dict[str, float]]) -> None:
    """Ask each contestant of this figure, in alternating order, and keep the medians."""
    names = [name for name in CONTESTANTS if name != "s3" or figure in OF_S3]
    taken: dict[str, list[list[float]]] = {name: [] for name in names}
    for turn in range(TURNS[figure]):
        for name in names if turn % 2 == 0 else reversed(names):
            settle()
            taken[name].append(asked[name](figure))
    for name, turns in taken.items():
        said[name][figure] = median(chain(*turns[1:])) / (1000 if figure.endswith("_s") else 1)


def alone(contestant: str, figure: str) -> dict[str, float]:
    """Return a measurement while no other contestant runs."""
    with open_contestant(contestant) as ask:
        return ask(figure)


@contextmanager
def open_contestant(contestant: str) -> Iterator[Any]:
    """Start a contestant; the block gets a function that asks it for a figure."""
    command = [sys.executable, "-m", "benchmarks.celery_contest", contestant]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def ask(figure: str) -> Any:
            process.stdin.write(figure + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield ask  # then its input is closed, which ends the process


def absolute(setup: dict[str, float], redis: dict[str, float]) -> list[Row]:
    """Return the figures that have an absolute bound."""
    poll, small = "state_poll_8mib_ms", bytes_of_records()
    return [
        row(poll, "ms", setup[poll], "the bound", POLL_BOUND_MS, bound=1.0),
        row(poll, "ms", setup[poll], PEER, redis[poll]),
        row(
            "chord_1000x1mb", "KiB, largest message", setup["chord_1000x1mb"], "the bound", MESSAGE_BOUND_KIB, bound=1.0
        ),
        row(
            "chord_1000x1mb_rss_mib",
            "MiB, largest process",
            setup["chord_1000x1mb_rss_mib"],
            "the bound",
            PROCESS_BOUND_MIB,
            bound=1.0,
        ),
        row("redis_bytes_per_result", "bytes", small[0], "the bound", RECORD_BOUND_BYTES, bound=1.0),
        row("redis_bytes_per_result", "bytes", small[0], PEER, small[1]),
    ]


def bytes_of_records() -> tuple[float, float]:
    """Return the bytes of a record of resultstore, and of Celery's Redis backend."""
    url = os.environ["RS_TEST_REDIS_URL"]
    return bytes_each("resultstore+" + url, url), bytes_each(url, url)
