"""first_preview: the time from the end of a 24-megapixel upload to its first preview on the page's event stream.

Each upload goes the page's way: a ticket, a signed PUT to the object store, `complete`. One event stream stays open.
Gateway, worker and viewer are separate processes. `python -m benchmarks.first_preview` prints every step's p50 and p95.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

import httpx
import pyvips

from benchmarks.gateway import await_ready, free_port
from benchmarks.measuring import Row, bucket, row
from resultstore import Settings
from resultstore.cli.serve import WORKER_ENVIRONMENT, worker_argv
from resultstore.gateway.identity.token_file import TokenEntry, append_entry, new_token, token_hash
from resultstore.ops.provision import provision
from resultstore_tasks.samples import photos

WIDTH, HEIGHT = 6000, 4000
WARM, PHOTOS = 3, 20
LIMIT_S = 1.0
TIMEOUT_S = 60


def run() -> list[Row]:
    seen = figures()
    print(json.dumps(seen))
    return [row("first_preview_24mp_p95_s", "s", seen["first_preview_p95_s"], "limit", LIMIT_S)]


def figures() -> dict[str, float]:
    """Return `<step>_p50_s` and `<step>_p95_s` for each step, counted from the end of the upload."""
    photo = make_photo()
    with tempfile.TemporaryDirectory() as folder, started(Path(folder)) as (url, token), following(url, token) as seen:
        client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=TIMEOUT_S)
        rounds = [send(client, photo, seen, number) for number in range(WARM + PHOTOS)][WARM:]
    found: dict[str, float] = {"photo_bytes": len(photo)}
    for step in rounds[0]:
        took_s = [one[step] for one in rounds]
        found |= {f"{step}_p50_s": round(median(took_s), 3), f"{step}_p95_s": round(quantiles(took_s, n=20)[-1], 3)}
    return found


def make_photo() -> bytes:
    """Return a photo like that of a 24-megapixel camera, with detail in every pixel."""
    flower = next(one for one in photos() if one.file_name == "flower.jpg")
    wide = pyvips.Image.thumbnail_buffer(flower.content, WIDTH, height=HEIGHT, crop="centre")
    grain = pyvips.Image.gaussnoise(WIDTH, HEIGHT, sigma=4, mean=0)
    return (wide + grain).cast("uchar").jpegsave_buffer(Q=92)


def send(client: httpx.Client, photo: bytes, seen: "Seen", number: int) -> dict[str, float]:
    """Upload one photo; return the seconds from the end of the upload to each step."""
    asked = {"name": f"photo-{number}.jpg", "size_bytes": len(photo), "media_type": "image/jpeg"}
    body = {**asked, "task": "images.resize", "options": {}}
    ticket = client.post("/v1/uploads", json=body).raise_for_status().json()
    httpx.put(ticket["url"], content=photo, headers=ticket["headers"], timeout=TIMEOUT_S).raise_for_status()
    ended = time.time()
    client.post(f"/v1/uploads/{ticket['id']}/complete", json={}).raise_for_status()
    answered = time.time()
    steps = seen.steps(ticket["id"])
    return {"complete": answered - ended} | {step: at - ended for step, at in steps.items()}


class Seen:
    """Notes when the stream reported each step of a Result."""

    def __init__(self) -> None:
        self._at: dict[str, dict[str, float]] = {}
        self._changed = threading.Condition()

    def note(self, view: dict[str, object], now: float) -> None:
        states = {"STARTED": "started", "PROGRESS": "started", "SUCCESS": "done"}
        with self._changed:
            steps = self._at.setdefault(str(view["id"]), {})
            if view["state"] in states:
                steps.setdefault(states[str(view["state"])], now)
            if any(one["previewable"] for one in view.get("artifacts", ())):
                steps.setdefault("first_preview", now)
            self._changed.notify_all()

    def steps(self, result_id: str) -> dict[str, float]:
        """Wait until a Result is done, and return when each of its steps was seen."""
        with self._changed:
            if not self._changed.wait_for(lambda: "done" in self._at.get(result_id, {}), TIMEOUT_S):
                raise RuntimeError(f"{result_id}: {self._at.get(result_id)}")
            return {step: self._at[result_id][step] for step in ("started", "first_preview", "done")}


@contextmanager
def following(url: str, token: str) -> Iterator[Seen]:
    seen, ended = Seen(), threading.Event()

    def follow() -> None:
        event = ""
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.stream("GET", f"{url}/v1/events", headers=headers, timeout=TIMEOUT_S) as answer:
            for line in answer.iter_lines():
                if ended.is_set():
                    return
                event = line.removeprefix("event: ") if line.startswith("event: ") else event
                if line.startswith("data: ") and event in {"result", "change"}:
                    seen.note(json.loads(line.removeprefix("data: ")), time.time())

    threading.Thread(target=follow, daemon=True).start()
    yield seen
    ended.set()


@contextmanager
def started(folder: Path) -> Iterator[tuple[str, str]]:
    """Run a gateway and a worker as `resultstore` does; the block gets the gateway's URL and a token."""
    token, port = new_token(), free_port()
    append_entry(folder / "tokens", TokenEntry(token_hash(token), "bench", frozenset({"read", "upload", "run"})))
    url = f"http://127.0.0.1:{port}"
    with bucket() as name, (folder / "log").open("wb") as log:
        chosen = settings(name) | {"gateway_port": str(port), "auth_tokens_file": str(folder / "tokens")}
        environment = os.environ | WORKER_ENVIRONMENT | {f"RESULTSTORE_{k.upper()}": v for k, v in chosen.items()}
        provision(Settings(**chosen))
        gateway = [sys.executable, "-m", "resultstore.cli", "gateway"]
        commands = (gateway, worker_argv(concurrency=1))
        processes = [subprocess.Popen(one, env=environment, stdout=log, stderr=log) for one in commands]
        try:
            await_ready(processes[0], port, folder / "log")
            yield url, token
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(30)


def settings(bucket_name: str) -> dict[str, str]:
    return {
        "index_url": os.environ["RS_TEST_REDIS_URL"],
        "index_prefix": f"{bucket_name}:",
        "broker_url": os.environ["RS_TEST_AMQP_URL"],
        "broker_queue": bucket_name,
        "blobs_url": f"s3://{bucket_name}",
        "s3_endpoint": os.environ["RS_TEST_S3_ENDPOINT"],
        "auth": "tokens",
        "secret_key": "k" * 32,
    }


if __name__ == "__main__":
    print(json.dumps(figures(), indent=2))
