"""Limits: a program that bounds what its process may use, then becomes another: `limits.py MIB SECONDS COMMAND...`."""

import os
import resource
import sys

MIB = 1024 * 1024
OPEN_FILES = 64
WRITTEN_MIB = 4096


def main() -> None:
    """Take the limits, then the command's place."""
    memory_mib, cpu_s, *command = sys.argv[1:]
    for kind, most in (
        (resource.RLIMIT_AS, int(memory_mib) * MIB),
        (resource.RLIMIT_CPU, int(cpu_s)),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_FSIZE, WRITTEN_MIB * MIB),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))
    os.execv(command[0], command)  # noqa: S606 - no shell, and the command is ours


if __name__ == "__main__":
    main()
