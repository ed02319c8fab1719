"""Limits: a program that bounds what its process may use, then becomes another: `limits.py MIB SECONDS COMMAND...`."""

import ctypes
import os
import resource
import sys

MIB = 1024 * 1024
OPEN_FILES = 64
WRITTEN_MIB = 4096
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000  # linux/sched.h; Python has them from 3.12 on
PR_SET_NO_NEW_PRIVS = 38  # linux/prctl.h


def main() -> None:
    """Leave the network, take the limits, then the command's place."""
    memory_mib, cpu_s, *command = sys.argv[1:]
    leave_the_network()
    for kind, most in (
        (resource.RLIMIT_AS, int(memory_mib) * MIB),
        (resource.RLIMIT_CPU, int(cpu_s)),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_FSIZE, WRITTEN_MIB * MIB),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))
    os.execv(command[0], command)  # noqa: S606 - no shell, and the command is ours


def leave_the_network() -> bool:
    """Whether this process, and all that it becomes, has a network of its own from now on, with nothing in it.

    The kernel allows it to root, and to others together with users of their own (user_namespaces(7)); where it refuses
    both, as in a container whose profile forbids it, the process goes on with the machine's network. What it becomes
    can gain no rights either way.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "unshare"):  # no Linux
        return False
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return not libc.unshare(CLONE_NEWNET) or not libc.unshare(CLONE_NEWUSER | CLONE_NEWNET)


if __name__ == "__main__":
    main()
