"""Confined: what reads a stranger's file is bounded, knows nothing of ours, and takes nobody with it."""

import os
import sys
import time
from io import BytesIO

import pytest

from resultstore import BadInput
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
