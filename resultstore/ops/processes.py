"""Processes: child processes that end with this process, however it ends (see process_reaper.py)."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from resultstore.ops import process_reaper

POLL_S = 0.02
# The child registers itself and closes the pipe before it executes the program, so it never runs unregistered. A shell
# does it, because `preexec_fn` may deadlock in a process with threads.
_REGISTERED = 'echo "+$$" >&0 && exec "$@" </dev/null'


class Processes:
    """Child processes, each in its own session, all registered with one reaper process.

    Args:
        keep_fds: stay open in the reaper, so that a lock among them is held until the last process has ended.
    """

    def __init__(self, *, keep_fds: Iterable[int] = ()) -> None:
        reading, self._pipe = os.pipe()
        self._started: list[subprocess.Popen[bytes]] = []
        self._reaper = subprocess.Popen(  # noqa: S603  a file of this package
            [sys.executable, "-I", process_reaper.__file__, str(reading)],
            pass_fds=(reading, *keep_fds),
            start_new_session=True,
            stdin=subprocess.DEVNULL,
        )
        os.close(reading)

    def start(
        self, argv: Sequence[str], *, env: Mapping[str, str], log: Path, cwd: Path, pass_fds: Sequence[int] = ()
    ) -> subprocess.Popen[bytes]:
        """Start `argv` in `cwd` with `env`; its output is appended to `log`, its standard input is empty."""
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603  the caller's program
                ["/bin/sh", "-c", _REGISTERED, "sh", *argv],
                env=dict(env),
                cwd=cwd,
                stdin=self._pipe,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=pass_fds,
            )
        self._started.append(process)
        return process

    def stop(self, *, grace_s: float) -> None:
        """End all, newest first: SIGTERM to each, up to `grace_s` together; the reaper ends those that are left."""
        until = time.monotonic() + grace_s
        for process in reversed(self._started):
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            while process.poll() is None and time.monotonic() < until:
                time.sleep(POLL_S)
        os.close(self._pipe)
        self._reaper.wait()
        for process in self._started:
            process.wait()
        self._started.clear()
