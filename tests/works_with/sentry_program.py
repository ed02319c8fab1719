"""A program that Sentry instruments: prints what was stored and what was reported."""

import sys

import sentry_sdk
from celery import Celery
from sentry_sdk.integrations.celery import CeleryIntegration
from sentry_sdk.transport import Transport

from resultstore import Artifact, Output
from resultstore.backends.celery import setup
from resultstore.backends.celery.capture.registry import is_task_captured

WAIT_S = 30
reported: dict[str, set[str]] = {"event": set(), "transaction": set()}


class Recorder(Transport):
    """Takes what would be sent to Sentry."""

    def capture_envelope(self, envelope: object) -> None:
        for item in envelope.items:
            if item.headers["type"] == "event":
                reported["event"].add(item.payload.json["exception"]["values"][-1]["type"])
            elif item.headers["type"] == "transaction":
                reported["transaction"].add(item.payload.json["transaction"])


sentry_sdk.init(
    dsn="http://key@127.0.0.1/1", transport=Recorder, traces_sample_rate=1.0, integrations=[CeleryIntegration()]
)

from celery.contrib.testing.worker import start_worker  # noqa: E402 - it takes `build_tracer` when it is imported

app = Celery("sentry", broker="memory://", backend=f"resultstore+{sys.argv[1]}")
app.conf.update(resultstore_blobs_url=f"file://{sys.argv[2]}", broker_transport_options={"polling_interval": 0.01})
setup(app)


@app.task(name="make")
def make() -> Output:
    return Output(data=b"made", name="made.txt")


@app.task(name="double")
def double(text: str) -> str:
    return text * 2


@app.task(name="fails")
def fails(text: str) -> None:
    raise ValueError(text[:3])


with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=WAIT_S):
    made = make.delay().get(timeout=WAIT_S)
    assert isinstance(made, Artifact), made
    assert double.delay("d" * 30_000).get(timeout=WAIT_S) == "d" * 60_000
    assert isinstance(fails.delay("f" * 30_000).get(timeout=WAIT_S, propagate=False), ValueError)
sentry_sdk.flush()
print("artifacts:" + made.name)
print("captured:" + str(all(is_task_captured(app.tasks[name]) for name in ("make", "double", "fails"))))
print("events:" + ",".join(sorted(reported["event"])))
print("transactions:" + ",".join(sorted(reported["transaction"])))
