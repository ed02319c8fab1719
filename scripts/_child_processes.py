"""Child processes that end with this one, however it ends (see resultstore/ops/process_reaper.py)."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

REAPER = Path(__file__).resolve().parent.parent / "resultstore" / "ops" / "process_reaper.py"
POLL_S = 0.05


class ChildProcesses:
    """Starts each process in its own session and registers it with the process reaper, which ends those that are left.

    `keep_fds` stay open in the reaper: a lock among them is held until the last process has ended.
    """

    def __init__(self, *, keep_fds: Sequence[int] = ()) -> None:
        reading, self._pipe = os.pipe()
        self._started: list[subprocess.Popen[bytes]] = []
        self._reaper = subprocess.Popen(
            [sys.executable, "-I", str(REAPER), str(reading)],
            pass_fds=(reading, *keep_fds),
            start_new_session=True,
            stdin=subprocess.DEVNULL,
        )
        os.close(reading)

    def start(
        self, argv: Sequence[str], *, env: Mapping[str, str], log: IO[bytes] | None = None, cwd: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start `argv`; its output goes to `log`, or to that of this process."""
        process = subprocess.Popen(
            list(argv),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL if log else None,
            stdout=log,
            stderr=log,
            start_new_session=True,
            # In the child, before exec: the program never runs unregistered.
            preexec_fn=lambda: os.write(self._pipe, b"+%d\n" % os.getpid()) and None,  # noqa: PLW1509 - one thread
        )
        self._started.append(process)
        return process

    def wait_for_any(self) -> None:
        """Return when the first of the processes has ended."""
        while all(process.poll() is None for process in self._started):
            time.sleep(1)

    def stop(self, *, grace_s: float) -> None:
        """End all processes, newest first: SIGTERM, then SIGKILL by the reaper after `grace_s`."""
        for process in reversed(self._started):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        until = time.monotonic() + grace_s
        while any(process.poll() is None for process in self._started) and time.monotonic() < until:
            time.sleep(POLL_S)
        self._close()

    def kill(self) -> None:
        """Kill all processes at once, for servers whose data is not needed any more."""
        for process in reversed(self._started):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        self._close()

    def _close(self) -> None:
        os.close(self._pipe)  # the reaper ends what still runs, then itself
        self._reaper.wait()
        for process in self._started:
            process.wait()
