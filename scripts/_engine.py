"""The choice between Docker Compose and local processes for running the servers."""

from pathlib import Path

import _compose
import _install
import _local
from _access import Access
from _child_processes import ChildProcesses

CLEAN_END_S = 20.0


class Servers:
    """The three servers of one folder, from `start` to `stop`.

    Args:
        folder: the folder of their data and logs.
        lock_fd: a lock that is held until the last of their processes is gone.
        keep: their data is wanted again later.
    """

    def __init__(self, folder: Path, *, lock_fd: int, keep: bool) -> None:
        self.processes = ChildProcesses(keep_fds=[lock_fd])
        self._folder = folder
        self._keep = keep
        self._by_compose = False

    def start(self) -> Access:
        """Start them; return when all of them answer. Raises Failed with what to do when they cannot be had."""
        self._by_compose = not _install.CHOSEN_PROGRAMS and _compose.engine_answers()
        if self._by_compose:
            return _compose.start_all(self._folder, self.processes, keep=self._keep)
        return _local.start_all(self._folder, self.processes, _install.programs())

    def stop(self) -> None:
        """End them: at once where nothing is lost by it, else cleanly. Containers outlive a killed client."""
        if self._keep or self._by_compose:
            self.processes.stop(grace_s=CLEAN_END_S)
        else:
            self.processes.kill()
