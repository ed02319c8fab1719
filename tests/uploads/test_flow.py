"""The flow of an upload: what a stranger sends becomes, by a real worker, Artifacts of the same Result."""

import hashlib
import io
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from resultstore import State
from tests.uploads.conftest import send

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def worker(place, tmp_path) -> Iterator[Path]:
    """The worker as users start it; its log."""
    queue = place.app.conf.task_default_queue
    command = [sys.executable, "-m", "celery", "-A", "tasks.app", "worker", "--queues", queue, "--concurrency", "1"]
    options = ["--without-mingle", "--without-gossip", "--hostname", f"{uuid.uuid4().hex}@%h"]
    log = tmp_path / "worker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, *options], cwd=REPOSITORY, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        yield log
        process.terminate()
        process.wait(30)


def test_a_photo_becomes_previews_under_the_uploads_own_id(place, worker, photo):
    digest = hashlib.sha256(photo).hexdigest()
    ticket = place.ticket(size_bytes=len(photo), sha256=digest, options={"widths": [320, 80], "format": "jpeg"})
    send(ticket, photo).raise_for_status()
    place.complete(ticket).raise_for_status()

    done = place.store.wait(ticket["id"], timeout_s=60)

    assert done.state == State.SUCCESS, (done.failure, worker.read_text()[-2000:])
    view = place.gateway.get(f"/v1/results/{ticket['id']}").json()
    names = [one["name"] for one in view["artifacts"]]
    assert [one for one in names if one != "input"] == ["china-320.jpg", "china-80.jpg"]
    link = next(one for one in view["artifacts"] if one["name"] == "china-80.jpg")["link"]
    bytes_url = place.gateway.get(link).headers["location"]
    assert Image.open(io.BytesIO(httpx.get(bytes_url).content)).width == 80
