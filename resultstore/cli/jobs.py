"""The jobs of the demo: sample files, uploaded to the gateway as a browser does."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import httpx
import msgspec

from resultstore.model.errors import Unavailable
from resultstore_tasks.samples import Sample, digits, photos, wine

WIDTHS = (1280, 640, 320)
SEND_LIMIT_S = 30.0

Argument = str | Sequence[int]


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One file and the task that works on it; `id` is that of the upload, the task and the Result."""

    id: str
    task: str
    file_name: str
    size_bytes: int


def sent_jobs(gateway_url: str) -> Iterator[Job]:
    """Upload each input by a signed URL, which starts its task. Raises Unavailable when a server refuses."""
    with httpx.Client(base_url=gateway_url, timeout=SEND_LIMIT_S) as gateway:
        for task, sample, arguments in _work():
            try:
                yield _sent(gateway, sample, task=task, arguments=arguments)
            except httpx.HTTPStatusError as error:
                # Never the URL: it may be a signed one.
                raise Unavailable(f"{sample.file_name} was not accepted: HTTP {error.response.status_code}") from None


def _sent(gateway: httpx.Client, sample: Sample, *, task: str, arguments: Mapping[str, Argument]) -> Job:
    size_bytes = len(sample.content)
    asked = {
        "name": sample.file_name,
        "size_bytes": size_bytes,
        "media_type": sample.media_type,
        "sha256": hashlib.sha256(sample.content).hexdigest(),
        "task": task,
        "options": arguments,
    }
    ticket = gateway.post("/v1/uploads", json=asked).raise_for_status().json()
    httpx.put(ticket["url"], content=sample.content, headers=ticket["headers"], timeout=SEND_LIMIT_S).raise_for_status()
    gateway.post(f"/v1/uploads/{ticket['id']}/complete", json={}).raise_for_status()
    return Job(id=ticket["id"], task=task, file_name=sample.file_name, size_bytes=size_bytes)


def _work() -> Iterator[tuple[str, Sample, Mapping[str, Argument]]]:
    """Yield the jobs, the two long ones first, so that two processes end together."""
    china, flower, hopper = photos()
    yield "images.resize", hopper, {"widths": WIDTHS, "format": "avif"}
    yield "models.train", digits(), {"target": "digit", "kind": "logistic"}
    yield "images.resize", china, {"widths": WIDTHS, "format": "webp"}
    yield "images.resize", flower, {"widths": WIDTHS, "format": "jpeg"}
    yield "pdf.report", wine(), {}
    yield "tables.convert", wine(), {}
