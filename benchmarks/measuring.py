"""Measuring: time, CPU and memory of one process, and the servers that all benchmarks share."""

import json
import os
import resource
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import boto3
from botocore.config import Config

Row = dict[str, str | float]

_QUIET, _LOOKED_AT_S, _SETTLED_WITHIN_S = 0.08, 0.3, 10.0


def row(name: str, unit: str, ours: float, peer_name: str, peer: float, *, bound: float | None = None) -> Row:
    """Return one row of build/bench.json; `__main__` adds its ratio, which must not exceed `bound`."""
    found: Row = {"name": name, "unit": unit, "ours": round(ours, 4), "peer_name": peer_name, "peer": round(peer, 4)}
    return found if bound is None else found | {"bound": bound}


def in_a_process(module: str, contestant: str) -> dict[str, float]:
    """Run `python -m module contestant`, and return the measurements that it prints as one line of JSON."""
    done = subprocess.run(
        [sys.executable, "-m", module, contestant], check=True, stdout=subprocess.PIPE, text=True, timeout=900
    )
    return json.loads(done.stdout.splitlines()[-1])


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: median(run[name] for run in runs) for name in runs[0]}


def measured(work: Callable[[], object]) -> dict[str, float]:
    """Return wall and CPU seconds of `work`, and the growth of the process' peak resident memory in MiB."""
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak (proc(5))
    base = _status_mib("VmRSS")
    used, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    work()
    wall_s, now = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    return {
        "wall_s": wall_s,
        "cpu_s": now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime,
        "rss_mib": _status_mib("VmHWM") - base,
    }


def settle() -> None:
    """Wait until this machine is nearly idle, so that one contestant's clean-up costs no other one.

    A chord of Celery's Redis backend sends 100 MB through RabbitMQ, which stays busy with that for a second.
    """
    end = time.monotonic() + _SETTLED_WITHIN_S
    while time.monotonic() < end:
        began = _jiffies()
        time.sleep(_LOOKED_AT_S)
        busy, whole = (now - then for now, then in zip(_jiffies(), began, strict=True))
        if busy < _QUIET * whole:
            return


def _jiffies() -> tuple[int, int]:
    """Return the busy and the total time of all cores since the start (proc(5), /proc/stat)."""
    user, nice, system, idle, iowait, *others = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9])
    busy = user + nice + system + sum(others[:2])  # interrupts; not the time that the host took for other machines
    return busy, busy + idle + iowait


def s3_client(**config: object):
    return boto3.client(
        "s3",
        endpoint_url=os.environ["RS_TEST_S3_ENDPOINT"],
        aws_access_key_id=os.environ["RS_TEST_S3_ACCESS_KEY"],
        aws_secret_access_key=os.environ["RS_TEST_S3_SECRET_KEY"],
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, signature_version="s3v4", **config),
    )


@contextmanager
def bucket() -> Iterator[str]:
    """Make a bucket for the block, and name it in the environment of child processes too."""
    name = f"bench-{uuid.uuid4().hex}"
    s3_client().create_bucket(Bucket=name)
    os.environ["AWS_ACCESS_KEY_ID"] = os.environ["RS_TEST_S3_ACCESS_KEY"]
    os.environ["AWS_SECRET_ACCESS_KEY"] = os.environ["RS_TEST_S3_SECRET_KEY"]
    os.environ["BENCH_BUCKET"] = name
    try:
        yield name
    finally:
        empty(name)
        s3_client().delete_bucket(Bucket=name)


def empty(name: str) -> None:
    client = s3_client()
    while page := client.list_objects_v2(Bucket=name).get("Contents", []):  # a thousand at a time
        client.delete_objects(Bucket=name, Delete={"Objects": [{"Key": one["Key"]} for one in page], "Quiet": True})


def _status_mib(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024
