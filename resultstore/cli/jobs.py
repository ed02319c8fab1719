"""Jobs: the real work that the demo sends, on real input."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from resultstore.dispatching import Dispatcher, Order
from resultstore.gateway.open_mode import LOCAL
from resultstore.model.artifact import Artifact
from resultstore.store import Store
from tasks.samples import Sample, digits, photos, wine

WIDTHS = (640, 320, 160)

Argument = str | Sequence[int]


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One task to run: its id, its name, its input as it was stored, its other arguments."""

    id: str
    task: str
    source: Artifact
    arguments: Mapping[str, Argument]


def stored_jobs(store: Store, *, token: str) -> Iterator[Job]:
    """Store each input and say what to do with it; `token` keeps the ids of several demos apart."""
    for label, task, sample, arguments in _work():
        source = store.put(sample.content, name=sample.file_name, media_type=sample.media_type, retention="1d")
        yield Job(id=f"{label}-{token}", task=task, source=source, arguments=arguments)


def send(dispatcher: Dispatcher, job: Job) -> None:
    """Order the work for whoever opens the gateway's page: one id for message, task and Result."""
    dispatcher.send(Order(id=job.id, task=job.task, owner=LOCAL.owner, arguments=job.arguments, source=job.source))


def _work() -> Iterator[tuple[str, str, Sample, Mapping[str, Argument]]]:
    """The two long ones first, so that two processes end together."""
    china, flower, hopper = photos()
    yield "hopper", "images.resize", hopper, {"widths": WIDTHS, "format": "avif"}
    yield "digits", "models.train", digits(), {"target": "digit", "kind": "logistic"}
    yield "china", "images.resize", china, {"widths": WIDTHS, "format": "webp"}
    yield "flower", "images.resize", flower, {"widths": WIDTHS, "format": "jpeg"}
    yield "report", "pdf.report", wine(), {}
    yield "wine", "tables.convert", wine(), {}
