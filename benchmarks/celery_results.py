"""celery_results: Celery's own Redis and S3 backends beside ours, over RabbitMQ, in one run."""

import os

from benchmarks.measuring import Row, bucket, in_a_process, medians, row

CONTESTANTS = ("setup", "url", "redis", "s3")
ROUNDS = 2
# The figure, its unit, and how far it may come: ours / Celery's Redis backend.
OF_REDIS = {
    "delay_get_small_p50_ms": "ms",
    "get_1mib_ms": "ms",
    "get_8mib_ms": "ms",
    "get_32mib_ms": "ms",
    "state_poll_8mib_ms": "ms",
    "group_1000_s": "s",
    "chord_100x1mb_s": "s",
    "worker_rss_32mib": "MiB",
    "redis_commands_per_result": "commands",
}


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
    setup, url, redis, s3 = (medians(runs[name]) for name in CONTESTANTS)
    peer = "Celery redis backend"
    rows = [row(name, unit, setup[name], peer, redis[name]) for name, unit in OF_REDIS.items()]
    rows += [row(f"{name} (URL only)", unit, url[name], peer, redis[name]) for name, unit in OF_REDIS.items()]
    rows += [row(name, "ms", setup[name], "Celery s3 backend", s3[name]) for name in ("get_1mib_ms", "get_8mib_ms")]
    rows.append(row("chord_1000x1mb", "KiB, largest message", setup["chord_1000x1mb"], "the bound", 256.0))
    rows.append(
        row("chord_1000x1mb_rss_mib", "MiB, largest process", setup["chord_1000x1mb_rss_mib"], "the bound", 300.0)
    )
    return rows
