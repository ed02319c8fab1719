"""Program that restricts its own process, then executes a command in it: `limits.py FENCE COMMAND...`.

FENCE is JSON: `memory_mib`, `cpu_s`, `written_mib`, `user` (0: keep the current one), `readable` and `writable` paths.
"""

import ctypes
import json
import os
import resource
import signal
import sys

# Only the standard library and this package can be imported (`python -I -S`).
sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))  # noqa: PTH100, PTH120 - pathlib would slow its start

from resultstore_tasks.sandbox import landlock, seccomp

MIB = 1024 * 1024
OPEN_FILES = 64
CANNOT_RUN = 126
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000  # linux/sched.h; Python has them from 3.12 on
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 24, 38  # linux/prctl.h
MAX_CAPABILITIES = 64


def main() -> None:
    """Drop network, user, files and system calls, set resource limits, then execute the command."""
    fence, command = json.loads(sys.argv[1]), sys.argv[2:]
    libc = ctypes.CDLL(None)
    if hasattr(libc, "unshare"):  # Linux
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        leave_the_network(libc)
        landlock.leave_only(libc, readable=fence["readable"], writable=fence["writable"])
        give_up_rights(libc, user=fence["user"])
        # The decoder is killed together with its worker.
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    for kind, soft, hard in (
        (resource.RLIMIT_AS, fence["memory_mib"] * MIB, fence["memory_mib"] * MIB),
        # The soft limit ends it with a signal that names the reason.
        (resource.RLIMIT_CPU, fence["cpu_s"], fence["cpu_s"] + 1),
        (resource.RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES),
        (resource.RLIMIT_FSIZE, fence["written_mib"] * MIB, fence["written_mib"] * MIB),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        resource.setrlimit(kind, (soft, hard))
    if hasattr(libc, "unshare"):
        seccomp.forbid(libc)
    try:
        os.execv(command[0], command)  # noqa: S606 - no shell, and a trusted command
    except OSError as error:
        print(f"{command[0]} cannot be run: {error.strerror}", file=sys.stderr)  # noqa: T201 - this is its answer
        sys.exit(CANNOT_RUN)


def leave_the_network(libc: ctypes.CDLL) -> bool:
    """Move this process into an empty network namespace. Return whether the kernel allowed it.

    The kernel allows it to root, and to other users together with a user namespace (user_namespaces(7)). If it refuses
    both, as in a container whose profile forbids it, the process keeps the machine's network.
    """
    return not libc.unshare(CLONE_NEWNET) or not libc.unshare(CLONE_NEWUSER | CLONE_NEWNET)


def give_up_rights(libc: ctypes.CDLL, *, user: int) -> None:
    """Drop all capabilities (capabilities(7)), and become `user` unless that is 0."""
    for capability in range(MAX_CAPABILITIES):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # otherwise a command that runs as root has them
    if user:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)


if __name__ == "__main__":
    main()
