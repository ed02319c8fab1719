"""Sandbox: a program that reads an untrusted file has limits, no secrets, and cannot harm other processes."""

import os
import socket
import subprocess
import sys
from io import BytesIO

import msgspec
import pytest

from resultstore import BadInput
from resultstore_tasks.sandbox.confined import Bounds, BoundsExceeded, check_made, run, workplace

BOUNDS = Bounds(memory_mib=256, cpu_s=1, wall_s=3, written_mib=1)
WIDE = Bounds(memory_mib=2048, cpu_s=30, wall_s=60, written_mib=64)


@pytest.fixture
def python(tmp_path):
    """Run a line of Python in the sandbox."""
    return lambda code, bounds=BOUNDS: run([sys.executable, "-I", "-c", code], folder=tmp_path, bounds=bounds)


def test_it_has_none_of_our_environment(python, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the crown jewels")
    monkeypatch.setenv("RESULTSTORE_SECRET_KEY", "the key")

    seen = python("import os; print(sorted(os.environ))").decode()

    assert "AWS" not in seen
    assert "RESULTSTORE" not in seen


# Code that exceeds one limit, and the message.
NEEDS = {
    "memory_mib": ("x = bytearray(1 << 30)", BadInput, "MemoryError"),
    "cpu_s": ("import time\nwhile time.process_time() < 3: pass", BoundsExceeded, "more than 1 s of CPU time"),
    "wall_s": ("import time; time.sleep(5)", BoundsExceeded, "more than 3 s"),
    "written_mib": ("open('f', 'wb').write(bytes(2 << 20))", BadInput, "File too large"),
}


@pytest.mark.parametrize("bound", NEEDS)
def test_each_bound_ends_what_needs_more(python, bound):
    code, error, reason = NEEDS[bound]
    narrow = msgspec.structs.replace(WIDE, **{bound: getattr(BOUNDS, bound)})

    with pytest.raises(error, match=reason):
        python(code, narrow)

    assert python(f"{code}\nprint('done')", WIDE) == b"done\n"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "it crashed: SIGSEGV"),
        ("import os; os.abort()", "it crashed: SIGABRT"),
        ("import sys; sys.exit('it is broken')", "it is broken"),
        ("import sys; sys.exit(3)", "exit code 3"),
    ],
)
def test_its_end_is_told(python, code, reason):
    with pytest.raises(BadInput, match=rf"cannot be read \({reason}\)"):
        python(code)


@pytest.mark.parametrize("code", ["print('x' * 5_000_000)", "for _ in range(50_000): print('x' * 99)"])
def test_all_that_it_prints_is_bounded(python, code):
    assert len(python(code, WIDE)) == 1024 * 1024


FLOOD = """
from pathlib import Path
from resultstore import BadInput
from resultstore_tasks.sandbox import confined
bounds = confined.Bounds(memory_mib=512, cpu_s=60, wall_s=90)
lines = []
"""
POUR = """
code = "import os\\nfor _ in range(700): os.write({pipe}, b'x' * (1 << 20))\\n{end}"
try:
    confined.run([{python!r}, "-I", "-c", code], folder=Path({folder!r}), bounds=bounds, on_line=lines.append)
except BadInput as reason:
    said = str(reason)
else:
    said = str([len(one) for one in lines])
"""


@pytest.mark.parametrize(
    ("pipe", "end", "told"),
    [(1, "", f"[{64 * 1024}]"), (2, "raise SystemExit('no more')", "it cannot be read (no more); send another file")],
    ids=["output", "complaints"],
)
def test_endless_output_line_is_not_kept(measured, tmp_path, pipe, end, told):
    end = end.replace("'no more'", "'\\\\nno more'")
    spent = measured(FLOOD, POUR.format(pipe=pipe, end=end, python=sys.executable, folder=str(tmp_path)))

    assert spent["said"] == told
    assert spent["growth_mib"] < 32


def test_each_line_is_told_once_and_whole(tmp_path):
    lines: list[bytes] = []
    code = "import sys, time\nfor n in range(3):\n print('line', n, flush=True); time.sleep(0.05)\nprint('end', end='')"

    run([sys.executable, "-I", "-c", code], folder=tmp_path, bounds=WIDE, on_line=lines.append)

    assert lines == [b"line 0", b"line 1", b"line 2", b"end"]


def test_no_file_stays_behind(tmp_path):
    with workplace(BytesIO(b"an untrusted file"), name="file") as path:
        assert path.read_bytes() == b"an untrusted file"
        folder = path.parent

    assert not os.path.exists(folder)  # noqa: PTH110


CONNECTS = """
import socket, sys
family, place = eval(sys.argv[1])
try:
    with socket.socket(family) as one:
        one.settimeout(1)
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
            run(command, folder=tmp_path, bounds=WIDE)


def test_program_writes_its_folder_without_new_privileges(python, tmp_path):
    python("open('made', 'w').write('a picture')")

    assert (tmp_path / "made").read_text() == "a picture"
    assert python("import ctypes; print(ctypes.CDLL(None).prctl(39, 0, 0, 0, 0))") == b"1\n"  # PR_GET_NO_NEW_PRIVS


@pytest.mark.parametrize("disguise", ["symlink", "hard link", "pipe", "folder", "nothing", "too large"])
def test_what_it_made_must_be_a_plain_file(tmp_path, disguise):
    secret, made = tmp_path / "secret", tmp_path / "made"
    secret.write_bytes(b"of the worker")
    make = {
        "symlink": lambda: made.symlink_to(secret),
        "hard link": lambda: made.hardlink_to(secret),
        "pipe": lambda: os.mkfifo(made),
        "folder": made.mkdir,
        "nothing": lambda: None,
        "too large": lambda: made.write_bytes(b"of the worker, and more"),
    }
    make[disguise]()

    with pytest.raises(BadInput):
        check_made(made, max_bytes=13)


def test_a_plain_file_that_it_made_is_taken(tmp_path):
    (tmp_path / "made").write_bytes(b"x" * 13)

    check_made(tmp_path / "made", max_bytes=13)
