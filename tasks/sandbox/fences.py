"""Fences: what the kernel of this machine lets decoders reach all the same, found out by trying."""

import logging
import os
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from resultstore import BadInput
from tasks.sandbox import reach
from tasks.sandbox.confined import Bounds, python, run

_BOUNDS: Final = Bounds(memory_mib=512, cpu_s=10, wall_s=60)
_log: Final = logging.getLogger(__name__)

# What can be reached: the event, what it means, and what to do (docs/security.md).
_TOLD: Final[Mapping[str, tuple[str, str]]] = {
    "network": ("decoders_have_network", "allow unshare(2) or seccomp(2), or fence the worker in"),
    "files": ("decoders_read_files", "use a kernel with Landlock (5.13), or run the worker as root or in a container"),
    "writing": ("decoders_write_files", "use a kernel with Landlock (5.13), or run the worker as root"),
    "memory": ("decoders_read_this_process", "allow prctl(2), or use a kernel with Landlock (5.13)"),
    "signals": ("decoders_signal_this_process", "allow seccomp(2), or use a kernel with Landlock 6 (6.12)"),
    "processes": ("decoders_start_processes", "allow seccomp(2) on x86_64 or aarch64"),
}


def reached() -> frozenset[str]:
    """Return what a decoder can reach of: network, files, writing, memory, signals, processes.

    `files` and `writing` are of a file of this process that only its user may read; `memory` is this process's
    environment and memory. Raises BadInput when nothing can be run here.
    """
    with (
        tempfile.TemporaryDirectory(prefix="resultstore-") as ours,
        tempfile.TemporaryDirectory(prefix="resultstore-") as folder,
        socket.create_server(("127.0.0.1", 0)) as listener,
    ):
        file = Path(ours) / "file"
        file.write_bytes(b"ours")
        file.chmod(0o600)
        command = python(reach.__file__, str(file), str(listener.getsockname()[1]), str(os.getpid()))
        return frozenset(msgspec.json.decode(run(command, folder=Path(folder), bounds=_BOUNDS), type=list[str]))


def log_decoder_access() -> None:
    """Log a warning for each thing that decoders can reach here, and one when none can be run at all."""
    try:
        found = reached()
    except BadInput as reason:
        _log.warning("decoders_cannot_run: %s", reason)
        return
    for name, (event, remedy) in _TOLD.items():
        if name in found:
            _log.warning("%s: %s (docs/security.md)", event, remedy)
