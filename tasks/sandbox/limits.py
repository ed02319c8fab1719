"""Limits: a program that takes what it can from its process, then becomes another: `limits.py FENCE COMMAND...`.

FENCE is JSON: `memory_mib`, `cpu_s`, `written_mib`, `user` (0: stay who it is), `readable` and `writable` (paths).
"""

import ctypes
import json
import os
import resource
import signal
import sys

# Only the standard library can be imported (`python -I -S`), and what stands beside this file.
sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))  # noqa: PTH100, PTH120 - its start counts

from tasks.sandbox import landlock, seccomp

MIB = 1024 * 1024
OPEN_FILES = 64
CANNOT_RUN = 126
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000  # linux/sched.h; Python has them from 3.12 on
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 24, 38  # linux/prctl.h
MAX_CAPABILITIES = 64


def main() -> None:
    """Take network, user, limits, files and system calls, then the command's place."""
    fence, command = json.loads(sys.argv[1]), sys.argv[2:]
    libc = ctypes.CDLL(None)
    if hasattr(libc, "unshare"):  # Linux
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        leave_the_network(libc)
        landlock.leave_only(libc, readable=fence["readable"], writable=fence["writable"])
        give_up_rights(libc, user=fence["user"])
        # A worker that is killed takes its decoder with it.
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    for kind, soft, hard in (
        (resource.RLIMIT_AS, fence["memory_mib"] * MIB, fence["memory_mib"] * MIB),
        # The softer one ends it by a signal that says why.
        (resource.RLIMIT_CPU, fence["cpu_s"], fence["cpu_s"] + 1),
        (resource.RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES),
        (resource.RLIMIT_FSIZE, fence["written_mib"] * MIB, fence["written_mib"] * MIB),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        resource.setrlimit(kind, (soft, hard))
    if hasattr(libc, "unshare"):
        seccomp.forbid(libc)
    try:
        os.execv(command[0], command)  # noqa: S606 - no shell, and the command is ours
    except OSError as error:
        print(f"{command[0]} cannot be run: {error.strerror}", file=sys.stderr)  # noqa: T201 - this is its answer
        sys.exit(CANNOT_RUN)


def leave_the_network(libc: ctypes.CDLL) -> bool:
    """Return whether this process has a network of its own from now on, with nothing in it.

    The kernel allows it to root, and to others together with users of their own (user_namespaces(7)); where it refuses
    both, as in a container whose profile forbids it, the process goes on with the machine's network.
    """
    return not libc.unshare(CLONE_NEWNET) or not libc.unshare(CLONE_NEWUSER | CLONE_NEWNET)


def give_up_rights(libc: ctypes.CDLL, *, user: int) -> None:
    """Give up root's rights (capabilities(7)), and become `user` unless that is 0."""
    for capability in range(MAX_CAPABILITIES):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # what the command would have by being run as root
    if user:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)


if __name__ == "__main__":
    main()
