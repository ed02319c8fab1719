"""Inputs for the shipped tasks, and a measurement of their cost."""

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resultstore_tasks import samples

REPOSITORY = Path(__file__).parents[2]

# Runs code in its own process and prints its cost; memory is the growth of the peak after the imports.
_YARDSTICK = """
import json, resource, time
{imports}
def peak_bytes():
    # Not getrusage: its ru_maxrss is inherited through fork and exec, and a large parent would hide the growth.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
base, began, cpu = peak_bytes(), time.monotonic(), time.process_time()
said = None
{body}
print(json.dumps({{"said": said, "wall_s": time.monotonic() - began, "cpu_s": time.process_time() - cpu,
                   "growth_mib": (peak_bytes() - base) / 2**20,
                   "children_mib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024}}))
"""

Measured = dict[str, Any]


@pytest.fixture
def measured() -> Callable[..., Measured]:
    """`measured(imports, body)` runs Python in a fresh process: seconds, MiB of growth, and what `said` was set to.

    `children_mib` is the peak of its largest child, or its own at the moment of the fork if that was more.
    """

    def run(imports: str, body: str, *, timeout_s: float = 100) -> Measured:
        program = _YARDSTICK.format(imports=imports, body=body)
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            cwd=REPOSITORY,
            timeout=timeout_s,
            check=False,
            env={**os.environ, "MALLOC_ARENA_MAX": "2"},
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.fixture(scope="session")
def china() -> bytes:
    """Return a photo of 640 x 427 pixels."""
    return samples.photos()[0].content


@pytest.fixture(scope="session")
def wine() -> bytes:
    """Return a table of 178 rows and 14 columns, one of them text."""
    return samples.wine().content


@pytest.fixture(scope="session")
def bomb() -> bytes:
    """Return a PNG of 60,000 x 60,000 grey pixels in about 440 KB: 3.6 GB when decoded."""
    side = 60_000
    squeeze = zlib.compressobj(9)
    row = b"\0" + bytes(side // 8)
    rows = b"".join([*(squeeze.compress(row * 1000) for _ in range(side // 1000)), squeeze.flush()])
    header = side.to_bytes(4, "big") * 2 + bytes([1, 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
