"""Engine: by what the servers run here, Docker Compose or this machine's own processes."""

from pathlib import Path

import _install
import _local
from _access import Access
from _tethered import Tethered


def start(folder: Path, processes: Tethered) -> Access:
    """Start the three servers with their data below `folder`; return when all of them answer."""
    return _local.start_all(folder, processes, _install.programs())
