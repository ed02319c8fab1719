"""celery_results: Celery's own Redis and S3 backends beside ours, over RabbitMQ, in one run."""

import os

from benchmarks.measuring import Row, bucket, in_a_process, medians, row
from benchmarks.records import bytes_each

CONTESTANTS = ("setup", "url", "redis", "s3")
ROUNDS = 2
# The figure, its unit, and how far it may come: ours / Celery's Redis backend.
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
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in CONTESTANTS}
    with bucket() as name:
        os.environ |= {
            "RESULTSTORE_BLOBS_URL": f"s3://{name}/ours",
            "RESULTSTORE_S3_ENDPOINT": os.environ["RS_TEST_S3_ENDPOINT"],
            "RESULTSTORE_SECRET_KEY": "b" * 64,
        }
        for number in range(ROUNDS):
            for contestant in CONTESTANTS if number % 2 == 0 else reversed(CONTESTANTS):
                runs[contestant].append(in_a_process("benchmarks.celery_contest", contestant))
        long = in_a_process("benchmarks.celery_contest", "long")
    setup, url, redis, s3 = (medians(runs[name]) for name in CONTESTANTS)
    return [
        *(row(name, unit, setup[name], PEER, redis[name], bound=bound) for name, (unit, bound) in OF_REDIS.items()),
        *(row(f"{name} (URL only)", unit, url[name], PEER, redis[name]) for name, (unit, _) in OF_REDIS.items()),
        row("get_1mib_ms", "ms", setup["get_1mib_ms"], "Celery s3 backend", s3["get_1mib_ms"], bound=S3_BOUND),
        row("get_8mib_ms", "ms", setup["get_8mib_ms"], "Celery s3 backend", s3["get_8mib_ms"]),
        *absolute(setup | long, redis),
    ]


def absolute(setup: dict[str, float], redis: dict[str, float]) -> list[Row]:
    """What has a bound of its own."""
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
    """Ours, and theirs."""
    url = os.environ["RS_TEST_REDIS_URL"]
    return bytes_each("resultstore+" + url, url), bytes_each(url, url)
