"""Process reaper: a small process that ends its owner's process groups, however the owner itself ends.

Run as a file, `python -I process_reaper.py PIPE_FD`; standard library only, so that scripts can use it without the
package. The owner writes a line `+PGID` to the pipe for each group that it starts, and `-PGID` for each that has ended.
The kernel closes the pipe even after SIGKILL. At that end of file the reaper sends SIGTERM to every group that is
left, and SIGKILL to those that still run after `GRACE_S`.
"""

import os
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

GRACE_S = 5.0
POLL_S = 0.05


def main(pipe_fd: int) -> None:
    """Read the pipe until its other end is closed, then end every group that is still registered."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it must outlive its owner
    end(_listed(pipe_fd))


def end(groups: Iterable[int], *, grace_s: float = GRACE_S) -> None:
    """End these process groups with their sessions: SIGTERM, then SIGKILL after `grace_s`."""
    wanted = frozenset(groups)
    _signal_all(wanted, signal.SIGTERM)
    _wait_gone(wanted, timeout_s=grace_s)
    _signal_all(wanted, signal.SIGKILL)
    _wait_gone(wanted, timeout_s=1.0)
    _signal_all(wanted, signal.SIGKILL)  # a member may have forked in between


def _listed(pipe_fd: int) -> set[int]:
    groups: set[int] = set()
    with os.fdopen(pipe_fd, encoding="ascii") as pipe:
        for line in pipe:
            sign, number = line[:1], line[1:].strip()
            if number.isdigit() and int(number) > 1:  # 0 would be our own group, 1 is init
                (groups.add if sign == "+" else groups.discard)(int(number))
    return groups


def _wait_gone(groups: frozenset[int], *, timeout_s: float) -> None:
    until = time.monotonic() + timeout_s
    while _alive(groups) and time.monotonic() < until:
        time.sleep(POLL_S)


def _signal_all(groups: frozenset[int], number: signal.Signals) -> None:
    for pid in _alive(groups):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(-pid, number) if pid < 0 else os.kill(pid, number)


def _alive(groups: frozenset[int]) -> list[int]:
    """Return what still runs of these groups and their sessions: process ids, or -PGID without /proc.

    Sessions count because some servers move a child to its own group (Erlang's erl_child_setup).
    """
    if not Path("/proc/self/stat").exists():
        return [-group for group in groups if _group_exists(group)]
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # proc(5): pid (name) state ppid pgrp session ...; the name may hold blanks and brackets
            state, _, group, session = entry.read_text(errors="replace").rpartition(")")[2].split()[:4]
            if state not in "ZX" and (int(group) in groups or int(session) in groups):
                found.append(int(entry.parent.name))
    return found


def _group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    main(int(sys.argv[1]))
