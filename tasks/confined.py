"""Confined: runs a program that reads a stranger's file: bounded, without our environment, in a folder of its own."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from resultstore import BadInput, Misconfigured
from tasks import limits

# ffmpeg says where in memory the part lies that complains: `[h264 @ 0x55d342beebc0] ...`. That is nobody's business.
_ADDRESSES: Final = re.compile(r" ?@? ?0x[0-9a-fA-F]{6,}")
OUTPUT_MAX_BYTES: Final = 1024 * 1024
_COPY_BYTES: Final = 1024 * 1024
# Nothing of ours: no credentials, no addresses. The path is the system's own default.
_ENVIRONMENT: Final = {"PATH": os.defpath, "LANG": "C.UTF-8"}


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What a program may use: address space, CPU seconds, and seconds by the clock."""

    memory_mib: int
    cpu_s: int
    wall_s: float


class OverBounds(BadInput):
    """The program needed more than it may use, or crashed."""


_COUNTERS: Final = 16  # columns of /proc/net/dev (net/core/net-procfs.c)
_LOOK: Final = Bounds(memory_mib=256, cpu_s=5, wall_s=20)


@contextmanager
def workplace(stream: BinaryIO, *, name: str) -> Iterator[Path]:
    """A temporary folder that holds all of `stream` as a file `name`; gives the file."""
    with tempfile.TemporaryDirectory(prefix="resultstore-") as folder:
        path = Path(folder) / name
        with path.open("wb") as file:
            shutil.copyfileobj(stream, file, _COPY_BYTES)
        yield path


def run(command: Sequence[str], *, folder: Path, bounds: Bounds, heard: Callable[[bytes], None] | None = None) -> bytes:
    """What the program printed, at most a MiB of it.

    Args:
        command: the program's path and its arguments.
        folder: where it runs.
        bounds: what it may use.
        heard: is told each line as it comes.

    Raises BadInput, with the program's last words, when it fails, crashes or needs more than it may use.
    """
    argv = [sys.executable, "-I", "-S", limits.__file__, str(bounds.memory_mib), str(bounds.cpu_s), *command]
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(  # noqa: S603 - no shell; a stranger's words are never among the options
            argv,
            cwd=folder,
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            start_new_session=True,
        ) as process,
    ):
        try:
            printed = _printed(process, heard, wall_s=bounds.wall_s)
        finally:
            process.kill()
        if code := process.wait():
            kind = OverBounds if code < 0 else BadInput
            raise kind(f"it cannot be read ({_last_words(complaints, code)}); send another file")
        return printed


def is_without_network() -> bool:
    """Whether what is run here reaches nobody: it sees no interface but a loopback of its own, which is down.

    Raises BadInput when nothing can be run here at all.
    """
    told = "print(open('/proc/self/net/dev').read())"  # proc_pid_net(5): of the process's own network
    command = [sys.executable, "-I", "-S", "-c", told]
    seen = run(command, folder=Path(tempfile.gettempdir()), bounds=_LOOK).decode()
    lines = [line.replace(" ", "") for line in seen.splitlines() if ":" in line]
    return lines == ["lo:" + "0" * _COUNTERS]


def python(program: str, *arguments: str) -> list[str]:
    """The command line of one of our own programs that is a single file."""
    return [sys.executable, "-I", program, *arguments]


def installed(name: str) -> str:
    """The path of a program of this machine. Raises Misconfigured when it is not installed."""
    found = shutil.which(name)
    if found is None:
        raise Misconfigured(f"{name} is not installed where this worker runs: apt-get install {name}")
    return found


def _printed(process: "subprocess.Popen[bytes]", heard: Callable[[bytes], None] | None, *, wall_s: float) -> bytes:
    """Its output to the end. A timer ends a program that takes too long, and with it the output."""
    assert process.stdout is not None
    printed = bytearray()
    with _ended_after(process, wall_s):
        for line in process.stdout:
            if heard is not None:
                heard(line)
            printed += line[: OUTPUT_MAX_BYTES - len(printed)]
        process.wait()
    return bytes(printed)


@contextmanager
def _ended_after(process: "subprocess.Popen[bytes]", seconds: float) -> Iterator[None]:
    timer = threading.Timer(seconds, process.kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _last_words(complaints: BinaryIO, code: int) -> str:
    if code < 0:
        return "it takes more time or memory than is allowed"
    size_bytes = complaints.seek(0, os.SEEK_END)
    complaints.seek(max(0, size_bytes - 4096))
    text = _ADDRESSES.sub("", complaints.read().decode(errors="replace"))
    lines = [line for line in text.splitlines() if line.strip()]
    return " ".join(lines[-1].split())[:200] if lines else f"exit code {code}"
