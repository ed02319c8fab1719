"""Seccomp: forbids system calls to this process and its successors (seccomp(2)).

It forbids sockets, other processes' memory and signals, new processes, mounts, and the calls with the most known
kernel vulnerabilities. It uses ctypes, because neither Python nor a maintained library does it.
"""

import ctypes
import errno
import os
import platform
import struct

_SET_SECCOMP, _FILTER = 22, 2  # linux/prctl.h, linux/seccomp.h
_ALLOW, _ERROR, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
# linux/bpf_common.h: load a word; jump if equal, greater or equal, any bit set; return.
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16  # struct seccomp_data, little endian
_X32_BIT = 0x40000000
_CLONE_THREAD = 0x00010000

# AUDIT_ARCH (linux/audit.h), and the numbers of the calls (arch/x86/entry/syscalls/syscall_64.tbl,
# include/uapi/asm-generic/unistd.h).
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_FORBIDDEN = {
    "socket": (41, 198),
    "socketpair": (53, 199),
    "fork": (57, None),
    "vfork": (58, None),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "io_uring_setup": (425, 425),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "mount_setattr": (442, 442),
    # Landlock does not restrict changes of a file's mode, owner, times and attributes.
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
}
# Allowed on this process itself only; prlimit64 also accepts 0 for it.
_ON_ITSELF = {"kill": (62, 129), "tgkill": (234, 131), "prlimit64": (302, 261)}
_CLONE, _CLONE3 = (56, 220), (435, 435)


def forbid(libc: ctypes.CDLL) -> bool:
    """Make these calls fail with EPERM from now on. Return whether the kernel enforces it.

    `PR_SET_NO_NEW_PRIVS` must be set before. Threads may still be started.
    """
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        return False
    program = _program(_ARCHITECTURES[machine], list(_ARCHITECTURES).index(machine), own_pid=os.getpid())
    steps = ctypes.create_string_buffer(b"".join(program))
    # struct sock_fprog: number and address of the steps.
    described = struct.pack("HP", len(program), ctypes.addressof(steps))
    return not int(libc.prctl(_SET_SECCOMP, ctypes.c_ulong(_FILTER), ctypes.c_char_p(described), 0, 0))


def _program(architecture: int, column: int, *, own_pid: int) -> list[bytes]:
    """Return the filter in classic BPF: 8 bytes for each step."""
    forbidden, absent = _ERROR | errno.EPERM, _ERROR | errno.ENOSYS
    steps = [
        _step(_LOAD, _ARCHITECTURE_AT),
        _step(_IF_EQUAL, architecture, then=1),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER_AT),
        _step(_IF_AT_LEAST, _X32_BIT, otherwise=1),
        _step(_RETURN, forbidden),
    ]
    for numbers in _FORBIDDEN.values():
        if (number := numbers[column]) is not None:
            steps += [_step(_IF_EQUAL, number, otherwise=1), _step(_RETURN, forbidden)]
    # After ENOSYS the C library starts threads with clone, whose flags a filter can check.
    steps += [_step(_IF_EQUAL, _CLONE3[column], otherwise=1), _step(_RETURN, absent)]
    for name, numbers in _ON_ITSELF.items():
        # `otherwise=5` skips the argument's load, both comparisons and both answers.
        steps += [
            _step(_IF_EQUAL, numbers[column], otherwise=5),
            _step(_LOAD, _FIRST_ARGUMENT_AT),
            _step(_IF_EQUAL, own_pid, then=1),
            _step(_IF_EQUAL, 0 if name == "prlimit64" else own_pid, otherwise=1),
            _step(_RETURN, _ALLOW),
            _step(_RETURN, forbidden),
        ]
    steps += [
        _step(_IF_EQUAL, _CLONE[column], otherwise=3),
        _step(_LOAD, _FIRST_ARGUMENT_AT),
        _step(_IF_ANY_BIT, _CLONE_THREAD, then=1),
        _step(_RETURN, forbidden),
    ]
    return [*steps, _step(_RETURN, _ALLOW)]


def _step(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    """Return a struct sock_filter; `then` and `otherwise` are the numbers of steps that a jump skips."""
    return struct.pack("HBBI", code, then, otherwise, value)
