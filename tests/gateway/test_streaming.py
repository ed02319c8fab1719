"""Large blobs are streamed through the gateway process in bounded memory."""

import hashlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from resultstore.blobs.local.driver import LocalBlobs
from resultstore.blobs.local.signer import LocalSigner
from resultstore.model import layout

from .conftest import SECRET

SIZE_BYTES = 300 * 1024 * 1024
BLOCK = os.urandom(1024 * 1024)
GROWTH_LIMIT_BYTES = 64 * 1024 * 1024


@pytest.fixture
def gateway(tmp_path, redis_url):
    """Start the program on two given sockets; return the process and the URL of its bytes listener."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    bytes_url = f"http://127.0.0.1:{sockets[1].getsockname()[1]}"
    variables = {
        "RESULTSTORE_INDEX_URL": redis_url,
        "RESULTSTORE_BLOBS_URL": (tmp_path / "blobs").as_uri(),
        "RESULTSTORE_SECRET_KEY": SECRET.decode(),
        "RESULTSTORE_BYTES_URL": bytes_url,
    }
    fds = [one.fileno() for one in sockets]
    command = [sys.executable, "-m", "resultstore.cli", "gateway", *(f"--fd={fd}" for fd in fds)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=os.environ | variables, pass_fds=fds, stderr=log)
    try:
        assert httpx.get(f"http://127.0.0.1:{sockets[0].getsockname()[1]}/readyz", timeout=30).status_code == 200
        yield process, bytes_url
    finally:
        process.terminate()
        assert process.wait(timeout=15) == 0


def test_300_mib_transfer_uses_bounded_memory(gateway, tmp_path):
    process, bytes_url = gateway
    signer = LocalSigner(SECRET, bytes_url)
    key = layout.blob_key("large", retention="1d", nonce=layout.new_nonce(), n=0)
    put = signer.sign_put(key, expires_in_s=60, size_bytes=SIZE_BYTES, media_type="application/octet-stream")
    before = peak_bytes(process.pid)

    stored = httpx.put(put.url, headers=put.headers, content=(BLOCK for _ in range(300)), timeout=60)
    got = fetched(signer.sign_get(key, expires_in_s=60, file_name="large", media_type="video/mp4").url)

    assert stored.status_code == 200
    assert got == wanted()
    assert LocalBlobs(tmp_path / "blobs").stat(key).size_bytes == SIZE_BYTES
    assert peak_bytes(process.pid) - before < GROWTH_LIMIT_BYTES


def test_stalled_reader_does_not_fill_memory(gateway, tmp_path):
    process, bytes_url = gateway
    key = layout.blob_key("large", retention="1d", nonce=layout.new_nonce(), n=0)
    LocalBlobs(tmp_path / "blobs").put(key, (BLOCK for _ in range(300)), media_type="video/mp4")
    url = LocalSigner(SECRET, bytes_url).sign_get(key, expires_in_s=60, file_name="l", media_type="video/mp4").url
    before = peak_bytes(process.pid)

    with httpx.stream("GET", url) as answer:
        next(answer.iter_raw())
        time.sleep(1)
        grown = peak_bytes(process.pid) - before

    assert answer.status_code == 200
    assert grown < GROWTH_LIMIT_BYTES


def fetched(url: str) -> str:
    digest = hashlib.sha256()
    with httpx.stream("GET", url, timeout=60) as answer:
        for chunk in answer.iter_raw():
            digest.update(chunk)
    return digest.hexdigest()


def wanted() -> str:
    digest = hashlib.sha256()
    for _ in range(300):
        digest.update(BLOCK)
    return digest.hexdigest()


def peak_bytes(pid: int) -> int:
    """Return the peak memory of the process (VmHWM of proc(5))."""
    line = next(one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
