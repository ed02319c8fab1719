"""gateway: look-ups and redirects of one gateway process over a real Redis, in requests per second and CPU time.

The gateway checks tokens and writes its log; it asks the object store once, for its time. The figures are medians of
several rounds: other load on the machine disturbs requests per second more than CPU time.
"""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.measuring import Row, medians, row
from resultstore import Result, Settings, State, Store, connect
from resultstore.gateway.identity.token_file import TokenEntry, append_entry, new_token, token_hash
from resultstore.model import layout
from resultstore.model.artifact import Artifact

CONNECTIONS = 16
ROUNDS, REQUESTS = 5, 1_600
KNOWN = 100
LIMIT_RPS, LIMIT_CPU_MS = 1_000.0, 0.8


def run() -> list[Row]:
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "bench")
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "bench")
    with tempfile.TemporaryDirectory() as folder, started(Path(folder)) as (process, port, token):
        store = connect(Settings(**settings()))
        ids = [save_result(store) for _ in range(KNOWN)]
        try:
            rounds = [figures(process.pid, port, token, ids) for _ in range(1 + ROUNDS)]
            found = medians(rounds[1:])  # the first is a warm-up
        finally:
            for one in ids:
                store.index.delete(one)
    return [
        row(name, unit, found[name], "limit", limit)
        for what in ("result_get", "redirect")
        for name, unit, limit in ((f"{what}_rps", "1/s", LIMIT_RPS), (f"{what}_cpu_ms", "ms", LIMIT_CPU_MS))
    ]


def figures(pid: int, port: int, token: str, ids: list[str]) -> dict[str, float]:
    """Return `<what>_rps` and `<what>_cpu_ms`, the CPU milliseconds of the gateway's process for each request."""
    results = [f"/v1/results/{one}" for one in ids]
    redirects = [f"{path}/artifacts/width-800.webp" for path in results]
    return {
        **measured(pid, port, token, results, status=200, name="result_get"),
        **measured(pid, port, token, redirects, status=302, name="redirect"),
    }


def measured(pid: int, port: int, token: str, paths: list[str], *, status: int, name: str) -> dict[str, float]:
    began, cpu = time.perf_counter(), cpu_s(pid)
    asyncio.run(load(port, token, paths, requests=REQUESTS, status=status))
    wall_s, cpu_used_s = time.perf_counter() - began, cpu_s(pid) - cpu
    return {f"{name}_rps": REQUESTS / wall_s, f"{name}_cpu_ms": 1000 * cpu_used_s / REQUESTS}


async def load(port: int, token: str, paths: list[str], *, requests: int, status: int) -> None:
    """Send this many requests over a few persistent connections, one at a time on each."""
    share = requests // CONNECTIONS
    await asyncio.gather(*(request(port, token, paths, requests=share, status=status) for _ in range(CONNECTIONS)))


async def request(port: int, token: str, paths: list[str], *, requests: int, status: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in range(requests):
        path = paths[number % len(paths)]
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if int(head[9:12]) != status:
            raise RuntimeError((head + await reader.read(500)).decode())
        length = head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]
        await reader.readexactly(int(length))
    writer.close()


@contextmanager
def started(folder: Path) -> Iterator[tuple[subprocess.Popen, int, str]]:
    """Run `resultstore gateway` without workers; the block gets its process, port and a token."""
    token = new_token()
    append_entry(folder / "tokens", TokenEntry(token_hash(token), "bench", frozenset({"read"})))
    own = {"auth": "tokens", "auth_tokens_file": str(folder / "tokens"), "gateway_port": str(free_port())}
    chosen = settings() | own
    variables = {f"RESULTSTORE_{name.upper()}": value for name, value in chosen.items()}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "resultstore.cli", "gateway"], env=os.environ | variables, stdout=log, stderr=log
        )
        try:
            await_ready(process, int(chosen["gateway_port"]), folder / "log")
            yield process, int(chosen["gateway_port"]), token
        except Exception:
            print((folder / "log").read_text()[-1500:])
            raise
        finally:
            process.terminate()
            process.wait(10)


def await_ready(process, port: int, log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            httpx.get(f"http://127.0.0.1:{port}/livez").raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(log.read_text())


def settings() -> dict[str, str]:
    return {
        "index_url": os.environ["RS_TEST_REDIS_URL"],
        "blobs_url": "s3://bench/root",
        "s3_endpoint": os.environ["RS_TEST_S3_ENDPOINT"],
        "secret_key": "k" * 32,
        "log_json": "true",  # as docker-compose.yml has it
    }


def save_result(store: Store) -> str:
    """Save the Result of a picture in three widths, as a worker would; return its id."""
    result_id, now = str(uuid.uuid4()), time.time()
    nonce = layout.new_nonce()
    made = tuple(picture(store, result_id, nonce, width, n) for n, width in enumerate((1600, 800, 200)))
    result = Result(id=result_id, state=State.SUCCESS, task="images.resize", owner="bench", artifacts=made, sealed=True)
    done = result.moved(State.SUCCESS, created_at=now - 2, started_at=now - 1, ended_at=now, nonce=nonce, worker="w@1")
    store.index.save(done, ttl_s=600)
    return result_id


def picture(store: Store, result_id: str, nonce: str, width: int, n: int) -> Artifact:
    made = Artifact(
        id=result_id,
        name=f"width-{width}.webp",
        file_name=f"holiday-{width}.webp",
        key=layout.blob_key(result_id, retention="30d", nonce=nonce, n=n),
        etag="0" * 32,
        size_bytes=100 * width,
        media_type="image/webp",
        sha256="0" * 64,
        stored_bytes=100 * width,
        expires_at=int(time.time()) + 86_400,
        metadata={"width": width, "height": width},
        owner="bench",
    )
    return store.signatures.sign(made)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process has used so far (proc(5): fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
