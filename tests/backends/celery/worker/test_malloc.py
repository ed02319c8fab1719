"""Malloc: memory that a worker's child frees returns to the system."""

import subprocess
import sys

import pytest

CHILD = """
import sys
from pathlib import Path
from celery import Celery
from celery.signals import worker_process_init

app = Celery("malloc", backend="resultstore+memory://", set_as_current=False)
app.conf.resultstore_blobs_url = "memory://"
backend = app.backend
if sys.argv[1] == "child":
    worker_process_init.send(sender=None)

def resident_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) / 256

for size in (8, 16, 24):  # each is freed, and glibc learns that such blocks come and go
    bytearray(b"x") * (size << 20)
before = resident_mib()
freed = bytearray(b"x") * (20 << 20)
small = bytearray(b"x") * 100_000
del freed
print(resident_mib() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
@pytest.mark.parametrize(("role", "left_mib"), [("child", (-1, 2)), ("client", (18, 22))])
def test_a_child_gives_back_what_a_client_keeps(role: str, left_mib: tuple[int, int]):
    said = subprocess.run([sys.executable, "-c", CHILD, role], check=True, capture_output=True, text=True, timeout=60)

    least, most = left_mib
    assert least < float(said.stdout) < most, said.stdout
