"""Confined: runs a program that reads an untrusted file: bounded, without our environment, in a folder of its own."""

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
from tasks.sandbox import limits

# ffmpeg says where in memory the part lies that complains: `[h264 @ 0x55d342beebc0] ...`. That is nobody's business.
_ADDRESSES: Final = re.compile(r" ?@? ?0x[0-9a-fA-F]{6,}")
OUTPUT_MAX_BYTES: Final = 1024 * 1024
LINE_MAX_BYTES: Final = 64 * 1024
_LAST_WORDS_BYTES: Final = 4096
_COPY_BYTES: Final = 1024 * 1024
_READ_BYTES: Final = 64 * 1024
# Nothing of ours: no credentials, no addresses. The path is the system's own default.
_ENVIRONMENT: Final = {"PATH": os.defpath, "LANG": "C.UTF-8"}
# Who the programs run as where the worker is root: Debian's policy reserves it, so that nothing else is this user's.
_ANOTHER_USER: Final = 65533
# Programs and their libraries. What may be written is the folder alone.
_READABLE: Final = (
    *("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/opt", "/nix/store", "/gnu/store"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/sys/devices/system/cpu"),
    *("/dev/zero", "/dev/random", "/dev/urandom"),
    *(sys.prefix, sys.base_prefix, str(Path(__file__).parents[1])),
)
_CANNOT_RUN: Final = frozenset({limits.CANNOT_RUN, 127})  # the second is the dynamic linker's word (ld.so(8))
_PR_SET_DUMPABLE: Final = 4  # linux/prctl.h


class BoundsExceeded(BadInput):
    """The program needed more than it may use, or crashed."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What a program may use: address space, CPU seconds, seconds by the clock, and the size of a file it writes."""

    memory_mib: int
    cpu_s: int
    wall_s: float
    written_mib: int = 1024


@contextmanager
def workplace(stream: BinaryIO, *, name: str) -> Iterator[Path]:
    """A temporary folder that holds all of `stream` as a file `name`; gives the file."""
    with tempfile.TemporaryDirectory(prefix="resultstore-") as folder:
        path = Path(folder) / name
        with path.open("wb") as file:
            shutil.copyfileobj(stream, file, _COPY_BYTES)
        yield path


def run(command: Sequence[str], *, folder: Path, bounds: Bounds, heard: Callable[[bytes], None] | None = None) -> bytes:
    """Return what the program printed, at most a MiB of it.

    Args:
        command: the program's path and its arguments.
        folder: where it runs, and the only place where it may write: a folder for this alone, without folders in it.
            Where the worker is root, the folder and its files are given to the user that the program runs as.
        bounds: what it may use.
        heard: is told each line as it comes, without its end, and at most 64 KiB of it.

    Raises BadInput, with the program's last words, when it fails; BoundsExceeded when it crashes or needs more than it
    may use.
    """
    user = _ANOTHER_USER if os.geteuid() == 0 and _runs_as_another_user(command[0]) else 0
    said, code = _ended(command, folder=folder, bounds=bounds, heard=heard, user=user)
    if code == 0:
        return bytes(said.printed)
    if why := _over(code, bounds):
        raise BoundsExceeded(f"it cannot be read ({why}); send another file")
    raise BadInput(f"it cannot be read ({said.last_words() or f'exit code {code}'}); send another file")


def check_made(path: Path, *, max_bytes: int) -> None:
    """Raise BadInput unless a program has made a plain file here, of at most `max_bytes`.

    A program that was taken over could make a link to a file of the worker's instead, and have that stored.
    """
    try:
        made = path.lstat()
    except FileNotFoundError as error:
        raise BadInput("nothing was made of it: it is damaged or cut short; send the whole file") from error
    if not stat.S_ISREG(made.st_mode) or made.st_nlink != 1 or made.st_size > max_bytes:
        raise BadInput("what was made of it is no plain file, or too large; send another file")


def python(program: str, *arguments: str) -> list[str]:
    """The command line of one of our own programs that is a single file."""
    return [sys.executable, "-I", program, *arguments]


def installed(name: str) -> str:
    """The path of a program of this machine. Raises Misconfigured when it is not installed."""
    found = shutil.which(name)
    if found is None:
        raise Misconfigured(f"{name} is not installed where this worker runs: apt-get install {name}")
    return found


def hide_this_process() -> None:
    """Keep other processes of this user out of this one's memory and environment, and so of its children's.

    `/proc/<pid>/environ`, `/proc/<pid>/mem` and ptrace(2) are root's alone afterwards, and it leaves no core dump.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):  # Linux
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


@cache
def _runs_as_another_user(program: str) -> bool:
    """Whether that user may read what the program is made of; under /root, for one, nobody else may."""
    ours = program == sys.executable
    command = [program, *(("-I", "-c", "import pypdfium2") if ours else ("-version",))]
    bounds = Bounds(memory_mib=1024, cpu_s=20, wall_s=60)
    with tempfile.TemporaryDirectory(prefix="resultstore-") as folder:
        _, code = _ended(command, folder=Path(folder), bounds=bounds, heard=None, user=_ANOTHER_USER)
    return code == 0 if ours else code not in _CANNOT_RUN


def _ended(
    command: Sequence[str], *, folder: Path, bounds: Bounds, heard: Callable[[bytes], None] | None, user: int
) -> "tuple[_CapturedOutput, int | None]":
    """Return what it said and its exit code (subprocess), which is None when it took too long."""
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
    with subprocess.Popen(  # noqa: S603 - no shell; an untrusted client's words are never among the options
        argv,
        cwd=folder,
        env=_ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        said = _CapturedOutput(heard)
        try:
            in_time = said.read(process, wall_s=bounds.wall_s)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
    return said, code if in_time else None


class _CapturedOutput:
    """What a program prints, and the last of its complaints, in bounded memory however much it is."""

    def __init__(self, heard: Callable[[bytes], None] | None) -> None:
        self.printed = bytearray()
        self._complaints = b""
        self._heard = heard
        self._line = bytearray()

    def read(self, process: "subprocess.Popen[bytes]", *, wall_s: float) -> bool:
        """Read to the end of both; return False when that took more than `wall_s`."""
        ends = time.monotonic() + wall_s
        with selectors.DefaultSelector() as waiting:
            for pipe, take in ((process.stdout, self._take_output), (process.stderr, self._take_complaint)):
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
        self._tell_line()
        return True

    def last_words(self) -> str:
        """The last line of what it complained of."""
        text = _ADDRESSES.sub("", self._complaints.decode(errors="replace"))
        lines = [line for line in text.splitlines() if line.strip()]
        return " ".join(lines[-1].split())[:200] if lines else ""

    def _take_output(self, some: bytes) -> None:
        self.printed += some[: OUTPUT_MAX_BYTES - len(self.printed)]
        if self._heard is None:
            return
        first, *others = some.split(b"\n")
        self._line += first[: LINE_MAX_BYTES - len(self._line)]
        for other in others:
            self._tell_line()
            self._line += other[:LINE_MAX_BYTES]

    def _take_complaint(self, some: bytes) -> None:
        self._complaints = (self._complaints + some)[-_LAST_WORDS_BYTES:]

    def _tell_line(self) -> None:
        if self._heard is not None and self._line:
            self._heard(bytes(self._line))
        self._line.clear()


def _over(code: int | None, bounds: Bounds) -> str:
    """Why a program was ended; "" when it ended by itself."""
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
