"""Program that tries what the sandbox should forbid, and prints what succeeded: `reach.py FILE PORT PID`.

`resultstore_tasks/sandbox/fences.py` runs it like a decoder, to find out what this machine's kernel forbids.
"""

import json
import os
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path


def main() -> None:
    """Print the names of the actions that succeeded, as JSON."""
    file, port, pid = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    tries: Mapping[str, Callable[[], object]] = {
        "network": lambda: socket.create_connection(("127.0.0.1", port), timeout=5),
        "files": file.read_bytes,
        "writing": lambda: file.open("r+b"),
        "memory": Path(f"/proc/{pid}/environ").read_bytes,
        "signals": lambda: os.kill(pid, 0),
        "processes": os.fork,
    }
    print(json.dumps([name for name, attempt in tries.items() if _succeeds(attempt)]))  # noqa: T201 - this is its answer


def _succeeds(attempt: Callable[[], object]) -> bool:
    try:
        made = attempt()
    except OSError:
        return False
    if made == 0:  # the child of a fork that should have failed
        os._exit(0)
    return True


if __name__ == "__main__":
    main()
