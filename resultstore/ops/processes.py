"""Processes: started so that they end with this one, whatever way it ends (see process_reaper.py)."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

TETHER = Path(__file__).parent / "process_reaper.py"
POLL_S = 0.02
# The child lists itself before it becomes the program, so there is no moment at which it runs and is not listed; it
# lets go of the pipe in the same step. A shell and not `preexec_fn`, which may deadlock once threads run.
_LISTED = 'echo "+$$" >&0 && exec "$@" </dev/null'


class Processes:
    """Child processes, each leading a session of its own, all listed with one tether.

    Args:
        keep_fds: stay open in the tether, so that a lock among them is held until the last process is gone.
    """

    def __init__(self, *, keep_fds: Iterable[int] = ()) -> None:
        reading, self._pipe = os.pipe()
        self._started: list[subprocess.Popen[bytes]] = []
        self._tether = subprocess.Popen(  # noqa: S603  our own file
            [sys.executable, "-I", str(TETHER), str(reading)],
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
                ["/bin/sh", "-c", _LISTED, "sh", *argv],
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
        """End all, newest first: SIGTERM to each leader, up to `grace_s` together; the tether ends what is left."""
        until = time.monotonic() + grace_s
        for process in reversed(self._started):
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            while process.poll() is None and time.monotonic() < until:
                time.sleep(POLL_S)
        os.close(self._pipe)
        self._tether.wait()
        for process in self._started:
            process.wait()
        self._started.clear()
