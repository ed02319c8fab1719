"""app: the Celery application of the contestant that BENCH_CONTESTANT names, for its client and its worker."""

import functools
import os
import random
from pathlib import Path

from celery import Celery
from kombu import messaging

CONTESTANT = os.environ["BENCH_CONTESTANT"]
REDIS = os.environ["RS_TEST_REDIS_URL"]
LARGEST = Path(os.environ["BENCH_FOLDER"]) / "largest-messages"

BACKENDS = {
    "url": f"resultstore+{REDIS}",
    "setup": f"resultstore+{REDIS}",
    "long": f"resultstore+{REDIS}",
    "redis": REDIS,
    "s3": "s3://",
}

app = Celery("bench", broker=os.environ["RS_TEST_AMQP_URL"], backend=BACKENDS[CONTESTANT])
app.conf.update(
    task_default_queue=os.environ["BENCH_QUEUE"],
    broker_transport_options={"confirm_publish": True},
    result_chord_join_timeout=60.0,
    s3_bucket=os.environ["BENCH_BUCKET"],
    s3_endpoint_url=os.environ["RS_TEST_S3_ENDPOINT"],
    s3_access_key_id=os.environ["RS_TEST_S3_ACCESS_KEY"],
    s3_secret_access_key=os.environ["RS_TEST_S3_SECRET_KEY"],
    s3_region="us-east-1",
)
if CONTESTANT in {"setup", "long"}:
    from resultstore.backends.celery import setup  # only here, so that the peers' processes do not load resultstore

    setup(app)


def _noting_sizes(publish):
    """Return a `publish` that notes the size of every message."""

    @functools.wraps(publish)
    def wrapper(self, body, *args, **kwargs):
        with LARGEST.open("a") as file:
            file.write(f"{len(body)}\n")
        return publish(self, body, *args, **kwargs)

    return wrapper


messaging.Producer._publish = _noting_sizes(messaging.Producer._publish)  # noqa: SLF001 - below its serializer


_BLOCK = random.Random(1).randbytes(1 << 19).hex()


def text(size_bytes: int) -> str:
    """Return a text that compresses to half its size. Making it costs no more than a copy."""
    whole, rest = divmod(size_bytes, len(_BLOCK))
    return _BLOCK * whole + _BLOCK[:rest]


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task
def large(size_bytes: int) -> str:
    return text(size_bytes)


@app.task
def total(parts: list[str]) -> int:
    return sum(map(len, parts))


@app.task
def lazy_total(parts: "LazyParts") -> int:  # noqa: F821 - its name is enough
    """Return the same with one part at a time in memory."""
    return sum(map(len, parts))
