"""The flow of an upload: a real worker turns the file of an untrusted client into Artifacts of the same Result."""

import hashlib
import io
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import boto3
import httpx
import pytest
from botocore.config import Config
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from resultstore import Result, Settings, State
from resultstore.testing.promises import MIB
from tests.uploads.conftest import Place, environment, send, send_parts, serving

REPOSITORY = Path(__file__).parents[2]
SIZE = 17 * MIB
# What the worker does is the same whatever the store: shown on one of them.
once = pytest.mark.parametrize("place", ["s3"], indirect=True, scope="module")


@pytest.fixture(scope="module", params=["local", "s3"])
def place(request, redis_url, amqp_url, s3_server, tmp_path_factory) -> Iterator[Place]:
    """A gateway, and a worker as users start it."""
    folder = tmp_path_factory.mktemp("flow")
    s3 = boto3.resource(
        "s3",
        endpoint_url=s3_server.endpoint,
        aws_access_key_id=s3_server.access_key,
        aws_secret_access_key=s3_server.secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
    bucket = s3.create_bucket(Bucket=f"test-{uuid.uuid4().hex}")
    blobs_url = f"file://{folder}/blobs" if request.param == "local" else f"s3://{bucket.name}/root"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(redis_url, amqp_url, s3_server, blobs_url).items():
            patch.setenv(name, value)
        with serving(Settings()) as place, working(place, folder / "worker.log"):
            yield place
    bucket.objects.all().delete()
    bucket.delete()


class working:  # noqa: N801 - used as `with working(...)`
    """A worker on the place's queue for the length of the block; shows the end of its log."""

    def __init__(self, place: Place, log: Path) -> None:
        self._queue = place.app.conf.task_default_queue
        self._log = log

    def __enter__(self) -> None:
        command = [sys.executable, "-m", "celery", "-A", "resultstore_tasks.app", "worker", "--queues", self._queue]
        options = ["--concurrency", "1", "--without-mingle", "--without-gossip", "--hostname", f"{uuid.uuid4().hex}@%h"]
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [*command, *options], cwd=REPOSITORY, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)
        sys.stdout.write(self._log.read_text()[-8_000:])


def ended(place: Place, ticket: dict) -> Result:
    """Complete the upload, and wait until its task has ended."""
    place.complete(ticket).raise_for_status()
    return place.store.wait(ticket["id"], timeout_s=60)


def view(place: Place, ticket: dict) -> dict:
    return place.gateway.get(f"/v1/results/{ticket['id']}").json()


def uploaded_keys(place: Place, ticket: dict) -> list[str]:
    return [one.key for one in place.store.blobs.list("uploads/") if ticket["id"] in one.key]


@pytest.fixture(scope="module")
def table() -> bytes:
    """A CSV of 17 MiB."""
    return (b"a,b,c\n" + b"1,2,3\n" * (SIZE // 6))[: SIZE // 6 * 6]


def test_photo_becomes_previews_under_its_upload_id(place, photo):
    ticket = place.ticket(size_bytes=len(photo), options={"widths": [320, 80], "format": "jpeg"})
    send(ticket, photo).raise_for_status()

    done = ended(place, ticket)

    assert done.state == State.SUCCESS, done.failure
    shown = view(place, ticket)
    assert [one["name"] for one in shown["artifacts"]] == ["china-80.jpg", "china-320.jpg"]
    bytes_url = place.gateway.get(shown["artifacts"][0]["link"]).headers["location"]
    assert Image.open(io.BytesIO(httpx.get(bytes_url).content)).width == 80
    assert shown["upload"] == {"name": "china.jpg", "size_bytes": len(photo), "media_type": "image/jpeg"}
    assert shown["input"]["sha256"] == hashlib.sha256(photo).hexdigest()
    source = done.artifacts[0]
    assert (source.name, [source.key]) == ("input", uploaded_keys(place, ticket)), "adopted without a copy"
    with place.store.open(source) as file:
        assert file.read() == photo


def test_multipart_table_becomes_preview_and_file(place, table):
    digest = hashlib.sha256(table).hexdigest()
    ticket = place.ticket(
        name="t.csv", media_type="text/csv", task="tables.preview", size_bytes=len(table), sha256=digest
    )
    send_parts(ticket, table)

    done = ended(place, ticket)

    assert done.state == State.SUCCESS, done.failure
    shown = {one["name"]: one for one in view(place, ticket)["artifacts"]}
    assert list(shown) == ["t-head.jpg", "t-head.json", "t.parquet"]
    assert shown["t-head.jpg"]["previewable"]
    assert shown["t.parquet"]["metadata"]["rows"] == len(table) // 6 - 1


@once
def test_undeclared_parts_are_refused_and_deleted(place, table):
    ticket = place.ticket(
        name="t.csv", media_type="text/csv", task="tables.convert", size_bytes=len(table), sha256="0" * 64
    )
    send_parts(ticket, table)

    done = ended(place, ticket)

    assert (done.state, done.failure.type) == (State.FAILURE, "UploadRejected")
    assert uploaded_keys(place, ticket) == []


@once
def test_a_document_becomes_its_cover(place, tmp_path):
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=(300, 400))
    canvas.drawString(50, 300, "a page")
    canvas.save()
    body = (tmp_path / "a.pdf").read_bytes()
    ticket = place.ticket(name="a.pdf", media_type="application/pdf", task="pdf.cover", size_bytes=len(body))
    send(ticket, body).raise_for_status()

    assert ended(place, ticket).state == State.SUCCESS
    [cover] = view(place, ticket)["artifacts"]
    assert (cover["name"], cover["metadata"]["pages"]) == ("a-cover.jpg", 1)


@once
def test_a_video_becomes_a_poster_and_a_preview(place, tmp_path):
    clip = tmp_path / "clip.mp4"
    source = ["-f", "lavfi", "-i", "testsrc=size=320x240:rate=25:duration=2", "-pix_fmt", "yuv420p"]
    subprocess.run(["ffmpeg", "-v", "error", *source, str(clip)], check=True)
    body = clip.read_bytes()
    ticket = place.ticket(name="clip.mp4", media_type="video/mp4", task="video.preview", size_bytes=len(body))
    send(ticket, body).raise_for_status()

    assert ended(place, ticket).state == State.SUCCESS
    names = [one["name"] for one in view(place, ticket)["artifacts"]]
    assert names == ["clip-poster.jpg", "clip-preview.mp4"]


@once
def test_truncated_photo_is_refused_and_deleted(place, photo):
    cut = photo[: len(photo) // 2]
    ticket = place.ticket(size_bytes=len(cut))
    send(ticket, cut).raise_for_status()

    done = ended(place, ticket)

    assert (done.state, done.failure.type) == (State.FAILURE, "UploadRejected")
    assert "cut short" in done.failure.message
    shown = view(place, ticket)
    assert shown["failure"]["hint"]
    assert (shown["upload"]["name"], shown["input"]) == ("china.jpg", None), "known by its name, and gone"
    assert uploaded_keys(place, ticket) == []
    retried = place.gateway.post(f"/v1/results/{ticket['id']}/retry", json={})
    assert (retried.status_code, retried.json()["slug"]) == (409, "not-repeatable")
    assert "upload the file again" in retried.json()["detail"]


def test_replacement_of_verified_bytes_is_detected(place, photo):
    # given a sender with a way around the signed URL, after the look and before the worker's
    swapped = photo[::-1]
    ticket = place.ticket(size_bytes=len(photo))
    send(ticket, photo).raise_for_status()
    sending = place.dispatcher.send

    def swap_and_send(order):
        place.store.blobs.replace(order.source.key, swapped, tags={})
        sending(order)

    place.dispatcher.send = swap_and_send
    try:
        done = ended(place, ticket)
    finally:
        del place.dispatcher.send

    assert (done.state, done.failure.type) == (State.FAILURE, "ChecksumMismatch")
    assert view(place, ticket)["input"]["file_name"] == "china.jpg"
