"""Sandboxed runs of programs that read an untrusted file, with limits and without the worker's environment."""

import ctypes
import os
import re
import selectors
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from resultstore import BadInput, Misconfigured
from resultstore_tasks.sandbox import limits

# ffmpeg prints memory addresses: `[h264 @ 0x55d342beebc0] ...`. They must not reach users (ASLR).
_ADDRESSES: Final = re.compile(r" ?@? ?0x[0-9a-fA-F]{6,}")
OUTPUT_MAX_BYTES: Final = 1024 * 1024
LINE_MAX_BYTES: Final = 64 * 1024
_ERRORS_MAX_BYTES: Final = 4096
_COPY_BYTES: Final = 1024 * 1024
_READ_BYTES: Final = 64 * 1024
# Nothing of the worker's environment: no credentials, no addresses. PATH is the system's default.
_ENVIRONMENT: Final = {"PATH": os.defpath, "LANG": "C.UTF-8"}
# User of the programs if the worker is root. Debian's policy reserves this id, so that it owns nothing else.
_SANDBOX_USER_ID: Final = 65533
# Programs and their libraries. Only the working folder is writable.
_READABLE: Final = (
    *("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/opt", "/nix/store", "/gnu/store"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/sys/devices/system/cpu"),
    *("/dev/zero", "/dev/random", "/dev/urandom"),
    *(sys.prefix, sys.base_prefix, str(Path(__file__).parents[1])),
)
_CANNOT_RUN: Final = frozenset({limits.CANNOT_RUN, 127})  # the second comes from the dynamic linker (ld.so(8))
_PR_SET_DUMPABLE: Final = 4  # linux/prctl.h


class BoundsExceeded(BadInput):
    """The program exceeded its limits, or crashed."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of a program: address space, CPU seconds, wall-clock seconds, and size of each file that it writes."""

    memory_mib: int
    cpu_s: int
    wall_s: float
    written_mib: int = 1024


@contextmanager
def workplace(stream: BinaryIO, *, name: str) -> Iterator[Path]:
    """Copy `stream` to a file `name` in a temporary folder; the context yields the file's path."""
    with tempfile.TemporaryDirectory(prefix="resultstore-") as folder:
        path = Path(folder) / name
        with path.open("wb") as file:
            shutil.copyfileobj(stream, file, _COPY_BYTES)
        yield path


def run(
    command: Sequence[str], *, folder: Path, bounds: Bounds, on_line: Callable[[bytes], None] | None = None
) -> bytes:
    """Run a program in the sandbox, and return the first MiB of its output.

    Args:
        command: path of the program and its arguments.
        folder: working folder, and the only place that is writable. It must have no subfolders, and no other use.
            If the worker is root, the folder and its files are given to the user that the program runs as.
        bounds: limits of the program.
        on_line: receives each line of output at once, without its line end, and at most 64 KiB of it.

    Raises BadInput, with the program's last error line, if it fails. Raises BoundsExceeded if it crashes or exceeds
    its limits.
    """
    user = _SANDBOX_USER_ID if os.geteuid() == 0 and _runs_as_sandbox_user(command[0]) else 0
    output, code = _run_bounded(command, folder=folder, bounds=bounds, on_line=on_line, user=user)
    if code == 0:
        return bytes(output.printed)
    if why := _over(code, bounds):
        raise BoundsExceeded(f"it cannot be read ({why}); send another file")
    raise BadInput(f"it cannot be read ({output.last_error() or f'exit code {code}'}); send another file")


def check_made(path: Path, *, max_bytes: int) -> None:
    """Raise BadInput unless `path` is a plain file of at most `max_bytes`.

    A compromised program could create a link to one of the worker's files, which would then be stored.
    """
    try:
        made = path.lstat()
    except FileNotFoundError as error:
        raise BadInput("it gave no output: it is damaged or cut short; send the whole file") from error
    if not stat.S_ISREG(made.st_mode) or made.st_nlink != 1 or made.st_size > max_bytes:
        raise BadInput("its output is no plain file, or too large; send another file")


def python(program: str, *arguments: str) -> list[str]:
    """Return the command line that runs a single-file Python program."""
    return [sys.executable, "-I", program, *arguments]


def installed(name: str) -> str:
    """Return the path of an installed program. Raises Misconfigured if it is not installed."""
    found = shutil.which(name)
    if found is None:
        raise Misconfigured(f"{name} is not installed where this worker runs: apt-get install {name}")
    return found


def hide_this_process() -> None:
    """Keep other processes of this user from reading the memory and environment of this one and of its children.

    Afterwards only root can use `/proc/<pid>/environ`, `/proc/<pid>/mem` and ptrace(2), and no core dump is written.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):  # Linux
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


@cache
def _runs_as_sandbox_user(program: str) -> bool:
    """Return whether the other user may read the program's files; under /root, for example, it may not."""
    is_python = program == sys.executable
    command = [program, *(("-I", "-c", "import pypdfium2") if is_python else ("-version",))]
    bounds = Bounds(memory_mib=1024, cpu_s=20, wall_s=60)
    with tempfile.TemporaryDirectory(prefix="resultstore-") as folder:
        _, code = _run_bounded(command, folder=Path(folder), bounds=bounds, on_line=None, user=_SANDBOX_USER_ID)
    return code == 0 if is_python else code not in _CANNOT_RUN


def _run_bounded(
    command: Sequence[str], *, folder: Path, bounds: Bounds, on_line: Callable[[bytes], None] | None, user: int
) -> "tuple[_CapturedOutput, int | None]":
    """Run the program; return its output and its exit code (subprocess), which is None after a timeout."""
    for path in (folder, *folder.iterdir()) if user else ():
        os.chown(path, user, user, follow_symlinks=False)
    fence = {
        "memory_mib": bounds.memory_mib,
        "cpu_s": bounds.cpu_s,
        "written_mib": bounds.written_mib,
        "user": user,
        "readable": [*_READABLE, str(Path(command[0]).resolve().parent)],
        "writable": [str(folder), os.devnull],
    }
    argv = [sys.executable, "-I", "-S", limits.__file__, msgspec.json.encode(fence).decode(), *command]
    with subprocess.Popen(  # noqa: S603 - no shell; nothing that a client sent is among the options
        argv,
        cwd=folder,
        env=_ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        output = _CapturedOutput(on_line)
        try:
            in_time = output.read(process, wall_s=bounds.wall_s)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
    return output, code if in_time else None


class _CapturedOutput:
    """Output of a program and the end of its error output, in bounded memory."""

    def __init__(self, on_line: Callable[[bytes], None] | None) -> None:
        self.printed = bytearray()
        self._errors = b""
        self._on_line = on_line
        self._line = bytearray()

    def read(self, process: "subprocess.Popen[bytes]", *, wall_s: float) -> bool:
        """Read both pipes to their ends; return False if that takes more than `wall_s`."""
        ends = time.monotonic() + wall_s
        with selectors.DefaultSelector() as waiting:
            for pipe, take in ((process.stdout, self._take_output), (process.stderr, self._take_errors)):
                assert pipe is not None
                waiting.register(pipe, selectors.EVENT_READ, take)
            while waiting.get_map() and (left_s := ends - time.monotonic()) > 0:
                for key, _ in waiting.select(left_s):
                    if some := os.read(key.fd, _READ_BYTES):
                        key.data(some)
                    else:
                        waiting.unregister(key.fileobj)
            if waiting.get_map():
                return False
        try:
            process.wait(max(0.0, ends - time.monotonic()))
        except subprocess.TimeoutExpired:
            return False
        self._emit_line()
        return True

    def last_error(self) -> str:
        """Return the last line of the error output."""
        text = _ADDRESSES.sub("", self._errors.decode(errors="replace"))
        lines = [line for line in text.splitlines() if line.strip()]
        return " ".join(lines[-1].split())[:200] if lines else ""

    def _take_output(self, some: bytes) -> None:
        self.printed += some[: OUTPUT_MAX_BYTES - len(self.printed)]
        if self._on_line is None:
            return
        first, *others = some.split(b"\n")
        self._line += first[: LINE_MAX_BYTES - len(self._line)]
        for other in others:
            self._emit_line()
            self._line += other[:LINE_MAX_BYTES]

    def _take_errors(self, some: bytes) -> None:
        self._errors = (self._errors + some)[-_ERRORS_MAX_BYTES:]

    def _emit_line(self) -> None:
        if self._on_line is not None and self._line:
            self._on_line(bytes(self._line))
        self._line.clear()


def _over(code: int | None, bounds: Bounds) -> str:
    """Return why a program was killed; "" if it ended by itself."""
    if code is None:
        return f"it takes more than {bounds.wall_s:g} s"
    if code >= 0:
        return ""
    named = {
        signal.SIGXCPU: f"it takes more than {bounds.cpu_s} s of CPU time",
        signal.SIGXFSZ: f"it makes a file of more than {bounds.written_mib} MiB",
        signal.SIGKILL: "it takes more CPU time or memory than there is",
    }
    return named.get(signal.Signals(-code), f"it crashed: {signal.Signals(-code).name}")
