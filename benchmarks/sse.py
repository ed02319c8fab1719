"""sse: the delay of events at 1,000 viewers of one gateway process, and the memory of that process.

50 owners have 20 viewers each. Every owner's results change 5 times a second, each fifth time with a new result. So
each viewer gets 5 events a second, of its own owner only. Viewers and writer are separate processes.
"""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from benchmarks.measuring import Row, row
from resultstore.gateway.identity.token_file import TokenEntry, append_entry, new_token, token_hash
from resultstore.index.redis.driver import RedisIndex
from resultstore.model.result import Progress, Result

OWNERS, VIEWERS_EACH = 50, 20
EVENTS_S = 5
WARM_S, MEASURED_S = 3, 15
LIMIT_P95_MS, LIMIT_RSS_MIB = 100.0, 200.0
_SENT_AT = re.compile(rb'"note":"at ([0-9.]+)"')


def run() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0), backlog=2048) as at:
        prefix, tokens = f"bench-{uuid.uuid4().hex}:", Path(folder) / "tokens"
        secrets = {f"owner-{n}": new_token() for n in range(OWNERS)}
        for owner, token in secrets.items():
            append_entry(tokens, TokenEntry(sha256=token_hash(token), owner=owner, scopes=frozenset({"read"})))
        gateway = subprocess.Popen(
            [sys.executable, "-m", "resultstore.cli", "gateway", "--fd", str(at.fileno())],
            env=os.environ | settings(prefix, tokens),
            pass_fds=[at.fileno()],
            stderr=subprocess.DEVNULL,
        )
        try:
            seen = measure_viewers(at.getsockname()[1], secrets, prefix, gateway.pid)
        finally:
            gateway.terminate()
            gateway.wait(30)
    print(json.dumps(seen))
    assert seen["viewers"] == OWNERS * VIEWERS_EACH, seen
    assert seen["foreign"] == 0, seen
    return [
        row("sse_1000_viewers_p95_ms", "ms", seen["p95_ms"], "limit", LIMIT_P95_MS),
        row("gateway_rss_1000_viewers_mib", "MiB", seen["rss_mib"], "limit", LIMIT_RSS_MIB),
    ]


def settings(prefix: str, tokens: Path) -> dict[str, str]:
    return {
        "RESULTSTORE_INDEX_URL": os.environ["RS_TEST_REDIS_URL"],
        "RESULTSTORE_INDEX_PREFIX": prefix,
        "RESULTSTORE_SECRET_KEY": "k" * 32,
        "RESULTSTORE_AUTH": "tokens",
        "RESULTSTORE_AUTH_TOKENS_FILE": str(tokens),
    }


def measure_viewers(port: int, secrets: dict[str, str], prefix: str, gateway_pid: int) -> dict[str, float]:
    """Run the viewers in one process and the writer in another; return the viewers' delays and the gateway's usage."""
    viewers = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.sse", "viewers", str(port), json.dumps(secrets)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    writer = subprocess.Popen([sys.executable, "-m", "benchmarks.sse", "writer", prefix], stdin=subprocess.PIPE)
    try:
        ready = json.loads(viewers.stdout.readline())
        writer.stdin.write(b"begin\n")
        writer.stdin.flush()
        time.sleep(WARM_S)
        used, began = cpu_s(gateway_pid), time.monotonic()
        rest, _ = viewers.communicate(b"begin\n", timeout=MEASURED_S * 4)
        share = (cpu_s(gateway_pid) - used) / (time.monotonic() - began)
        rss_mib = status_mib(gateway_pid, "VmRSS")
    finally:
        viewers.kill()
        writer.kill()
    return {**ready, **json.loads(rest.splitlines()[-1]), "rss_mib": rss_mib, "cpu_share": round(share, 2)}


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def status_mib(pid: int, field: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


class Viewer(asyncio.Protocol):
    """Reads one stream; every message holds the time when it was written and, in its id, its owner."""

    def __init__(self, owner: str, token: str, waits_ms: list[float]) -> None:
        self.owner, self.token, self.waits_ms = owner, token, waits_ms
        self.begun = asyncio.get_running_loop().create_future()
        self.foreign = 0
        self.rest = b""
        self.counted_from = float("inf")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        head = f"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self.token}\r\n\r\n"
        transport.write(head.encode())

    def data_received(self, data: bytes) -> None:
        whole, end, self.rest = (self.rest + data).rpartition(b"\n\n")
        data = whole + end
        if not self.begun.done() and b"event: snapshot" in data:
            self.begun.set_result(None)
        now = time.time()
        for found in _SENT_AT.finditer(data):
            if now >= self.counted_from:
                self.waits_ms.append((now - float(found[1])) * 1000)
        self.foreign += data.count(b'"id":"') - data.count(b'"id":"' + self.owner.encode() + b"!")


async def view(port: int, secrets: dict[str, str]) -> None:
    loop, waits_ms = asyncio.get_running_loop(), []
    viewers = []
    for owner, token in secrets.items():
        for _ in range(VIEWERS_EACH):
            _, viewer = await loop.create_connection(lambda o=owner, t=token: Viewer(o, t, waits_ms), "127.0.0.1", port)
            viewers.append(viewer)
    await asyncio.wait_for(asyncio.gather(*(one.begun for one in viewers)), 120)
    print(json.dumps({"viewers": len(viewers)}), flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    for one in viewers:
        one.counted_from = time.time()
    await asyncio.sleep(MEASURED_S)
    waits_ms.sort()
    found = {
        "events_s": round(len(waits_ms) / MEASURED_S),
        "p50_ms": round(waits_ms[len(waits_ms) // 2], 1),
        "p95_ms": round(waits_ms[int(len(waits_ms) * 0.95)], 1),
        "p99_ms": round(waits_ms[int(len(waits_ms) * 0.99)], 1),
        "foreign": sum(one.foreign for one in viewers),
    }
    print(json.dumps(found), flush=True)


def write(prefix: str) -> None:
    """Write changes, evenly spread over each second, until the process is ended."""
    index = RedisIndex(os.environ["RS_TEST_REDIS_URL"], prefix=prefix)
    sys.stdin.readline()
    began, count = time.monotonic(), 0
    while True:
        at = count / (OWNERS * EVENTS_S)
        time.sleep(max(0.0, began + at - time.monotonic()))
        owner, nth = f"owner-{count % OWNERS}", count // OWNERS
        progress = Progress(nth, 1000, f"at {time.time()}")
        one = Result(id=f"{owner}!{nth // 5}", owner=owner, state="PROGRESS", progress=progress)
        index.save(one, ttl_s=60)
        count += 1


if __name__ == "__main__":
    if sys.argv[1] == "viewers":
        asyncio.run(view(int(sys.argv[2]), json.loads(sys.argv[3])))
    else:
        write(sys.argv[2])
