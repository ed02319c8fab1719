"""Runs one command with its own servers, which are stopped when it ends."""

import os
import secrets
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from _access import Failed
from _child_processes import ChildProcesses
from _engine import Servers
from _folder import own_folder

COMMAND_GRACE_S = 20.0
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(BaseException):
    """A signal asked this program to end. Not an Exception, so that no handler swallows it."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.number = number


def run(command: Sequence[str], *, export_settings: bool) -> int:
    """Run `command` with the servers' addresses in its environment; its exit code, or 128 + our signal."""
    name = f"run-{os.getpid()}-{secrets.token_hex(3)}"
    try:
        with ending_by_signal(), own_folder(name, keep=False) as (folder, lock_fd):
            servers = Servers(folder, lock_fd=lock_fd, keep=False)
            try:
                access = servers.start()
                variables = access.for_tests() | (access.for_settings() if export_settings else {})
                return _follow(_started(servers.processes, command, variables))
            finally:
                ignore_endings()  # a second Ctrl-C must not leave half of them running
                servers.stop()
    except Ended as end:
        return 128 + end.number


@contextmanager
def ending_by_signal() -> Iterator[None]:
    """Turn the signals that end a program into `Ended`, so that every `finally` runs."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise Ended(number)

    before = {number: signal.signal(number, end) for number in ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_endings() -> None:
    """Ignore further signals: the clean-up must finish."""
    for number in ENDINGS:
        signal.signal(number, signal.SIG_IGN)


def _started(processes: ChildProcesses, command: Sequence[str], variables: dict[str, str]) -> subprocess.Popen[bytes]:
    try:
        return processes.start(command, env=os.environ | variables)
    except OSError as problem:
        raise Failed(f"cannot run {command[0]}: {problem.strerror}") from problem


def _follow(process: subprocess.Popen[bytes]) -> int:
    """Run the command and return its exit code as a shell reports it. Signals are passed on to the command first."""
    try:
        return _exit_code(process.wait())
    except Ended as end:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, end.number)
        with suppress(subprocess.TimeoutExpired):
            return _exit_code(process.wait(COMMAND_GRACE_S))
        raise


def _exit_code(returned: int) -> int:
    return returned if returned >= 0 else 128 - returned
