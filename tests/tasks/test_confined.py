"""Confined: what reads a stranger's file is bounded, knows nothing of ours, and takes nobody with it."""

import logging
import os
import socket
import subprocess
import sys
import time
from io import BytesIO

import pytest
from celery.signals import worker_ready

from resultstore import BadInput
from tasks import app, limits
from tasks.confined import Bounds, run, workplace

BOUNDS = Bounds(memory_mib=256, cpu_s=1, wall_s=2)


@pytest.fixture
def python(tmp_path):
    """Runs a line of Python, confined."""
    return lambda code, bounds=BOUNDS: run([sys.executable, "-I", "-c", code], folder=tmp_path, bounds=bounds)


def test_it_has_none_of_our_environment(python, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the crown jewels")
    monkeypatch.setenv("RESULTSTORE_SECRET_KEY", "the key")

    seen = python("import os; print(sorted(os.environ))").decode()

    assert "AWS" not in seen
    assert "RESULTSTORE" not in seen


@pytest.mark.parametrize(
    "code",
    [
        "bytearray(1 << 30)",
        "while True: pass",
        "import time; time.sleep(60)",
        "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "import sys; sys.exit('it is broken')",
    ],
    ids=["memory", "cpu", "time", "crash", "refusal"],
)
def test_what_needs_too_much_or_crashes_ends_its_own_file_only(python, code):
    began = time.monotonic()

    with pytest.raises(BadInput, match=r"cannot be read \("):
        python(code)

    assert time.monotonic() - began < 8


def test_its_reason_is_told(python):
    with pytest.raises(BadInput, match="it is encrypted"):
        python("import sys; sys.exit('it is encrypted')")


def test_what_it_prints_is_bounded(python):
    assert len(python("print('x' * 5_000_000)")) == 1024 * 1024


def test_no_file_stays_behind(tmp_path, monkeypatch):
    with workplace(BytesIO(b"a stranger's file"), name="file") as path:
        assert path.read_bytes() == b"a stranger's file"
        folder = path.parent

    assert not os.path.exists(folder)  # noqa: PTH110


CONNECTS = """
import socket, sys
family, place = eval(sys.argv[1])
with socket.socket(family) as one:
    one.settimeout(1)
    try:
        one.connect(place)
    except OSError as why:
        sys.exit(f"no way: {why.errno}")
print("connected")
"""


@pytest.mark.parametrize("family", ["AF_INET", "AF_UNIX"])
def test_it_reaches_nobody_not_even_this_machine(tmp_path, family):
    place = ("127.0.0.1", 0) if family == "AF_INET" else f"\0resultstore-test-{os.getpid()}"  # an abstract name
    with socket.socket(getattr(socket, family)) as listener:
        listener.bind(place)
        listener.listen()
        to = repr((int(getattr(socket, family)), listener.getsockname()))
        command = [sys.executable, "-I", "-c", CONNECTS, to]
        assert subprocess.run(command, check=True, capture_output=True).stdout == b"connected\n"

        with pytest.raises(BadInput, match="no way"):
            run(command, folder=tmp_path, bounds=BOUNDS)


def test_without_the_rights_of_root_it_reaches_nobody_either(tmp_path):
    as_another = ["setpriv", "--inh-caps=-all", "--bounding-set=-sys_admin"]
    shown = [sys.executable, "-I", "-c", "print(open('/proc/self/net/dev').read().count(':'))"]
    command = [*as_another, sys.executable, "-I", "-S", limits.__file__, "256", "5", *shown]

    assert subprocess.run(command, check=True, capture_output=True).stdout == b"1\n"


def test_it_can_write_where_it_works_and_gains_no_rights(python, tmp_path):
    python("open('made', 'w').write('a picture')")

    assert (tmp_path / "made").read_text() == "a picture"
    assert b"NoNewPrivs:\t1" in python("print(open('/proc/self/status').read())")


@pytest.mark.parametrize("kept", [True, False])
def test_a_worker_says_at_its_start_when_the_kernel_leaves_decoders_the_network(monkeypatch, caplog, kept):
    monkeypatch.setattr(app, "is_without_network", lambda: kept)
    caplog.set_level(logging.WARNING)  # a worker inside this process may have raised it

    worker_ready.send(sender=None)

    assert ("decoders have network" in caplog.text) == (not kept)
