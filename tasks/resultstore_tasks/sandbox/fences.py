"""Probe of what decoders in the sandbox can still reach on this machine's kernel."""

import logging
import os
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from resultstore import BadInput
from resultstore_tasks.sandbox import reach
from resultstore_tasks.sandbox.confined import Bounds, python, run

_BOUNDS: Final = Bounds(memory_mib=512, cpu_s=10, wall_s=60)
_log: Final = logging.getLogger(__name__)

# What can be reached: the log event, and what to do (docs/security.md).
_WARNINGS: Final[Mapping[str, tuple[str, str]]] = {
    "network": ("decoders_have_network", "allow unshare(2) or seccomp(2), or fence the worker in"),
    "files": ("decoders_read_files", "use a kernel with Landlock (5.13), or run the worker as root or in a container"),
    "writing": ("decoders_write_files", "use a kernel with Landlock (5.13), or run the worker as root"),
    "memory": ("decoders_read_this_process", "allow prctl(2), or use a kernel with Landlock (5.13)"),
    "signals": ("decoders_signal_this_process", "allow seccomp(2), or use a kernel with Landlock 6 (6.12)"),
    "processes": ("decoders_start_processes", "allow seccomp(2) on x86_64 or aarch64"),
}


def probe_access() -> frozenset[str]:
    """Return which of these a decoder can reach: network, files, writing, memory, signals, processes.

    `files` and `writing` concern a file of this process that only its user may read; `memory` concerns this process's
    environment and memory. Raises BadInput if no program can be run here.
    """
    with (
        tempfile.TemporaryDirectory(prefix="resultstore-") as own,
        tempfile.TemporaryDirectory(prefix="resultstore-") as folder,
        socket.create_server(("127.0.0.1", 0)) as listener,
    ):
        file = Path(own) / "file"
        file.write_bytes(b"own")
        file.chmod(0o600)
        command = python(reach.__file__, str(file), str(listener.getsockname()[1]), str(os.getpid()))
        return frozenset(msgspec.json.decode(run(command, folder=Path(folder), bounds=_BOUNDS), type=list[str]))


def log_decoder_access() -> None:
    """Log a warning for each thing that decoders can reach here, or one if no decoder can be run at all."""
    try:
        found = probe_access()
    except BadInput as reason:
        _log.warning("decoders_cannot_run: %s", reason)
        return
    for name, (event, remedy) in _WARNINGS.items():
        if name in found:
            _log.warning("%s: %s (docs/security.md)", event, remedy)
