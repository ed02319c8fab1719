"""Landlock: restricts this process and its successors to named files (landlock(7)).

It uses ctypes, because neither Python nor a maintained library calls it. Linux has it since 5.13, if enabled.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable

# The numbers are the same on every architecture (include/uapi/asm-generic/unistd.h, include/uapi/linux/landlock.h).
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_ASK_FOR_VERSION = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_FILE, _MAKE_FILE = 1, 1 << 1, 1 << 2, 1 << 3, 1 << 5, 1 << 8
_TRUNCATE = 1 << 14
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
# Number of file rights of each version, from the first; later versions have as many as the last.
_RIGHTS = (13, 14, 15, 15, 16)
_NETWORK_FROM, _BIND_AND_CONNECT = 4, 0b11
_SCOPES_FROM, _SOCKETS_AND_SIGNALS = 6, 0b11


def version(libc: ctypes.CDLL) -> int:
    """Return the kernel's version of Landlock; 0 if it has none."""
    return max(0, int(libc.syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint(_ASK_FOR_VERSION))))


def leave_only(libc: ctypes.CDLL, *, readable: Iterable[str], writable: Iterable[str]) -> bool:
    """Allow only these files and folders, no TCP, and signals only to itself. Return whether the kernel enforces it.

    Args:
        libc: the C library.
        readable: files and folders that may be read and run.
        writable: folders in which plain files may also be created, written and removed, and files that may be written.

    `PR_SET_NO_NEW_PRIVS` must be set before. Paths that do not exist are ignored.
    """
    known = version(libc)
    if not known:
        return False
    rights = (1 << _RIGHTS[min(known, len(_RIGHTS)) - 1]) - 1
    network = _BIND_AND_CONNECT if known >= _NETWORK_FROM else 0
    scopes = _SOCKETS_AND_SIGNALS if known >= _SCOPES_FROM else 0
    wanted = struct.pack("QQQ", rights, network, scopes)
    # An older kernel accepts a longer structure if the fields that it does not know are 0.
    rules = libc.syscall(_CREATE, wanted, ctypes.c_size_t(len(wanted)), ctypes.c_uint(0))
    if rules < 0:
        return False
    reading = _EXECUTE | _READ_FILE | _READ_DIR
    writing = _READ_FILE | _READ_DIR | _WRITE_FILE | _TRUNCATE | _MAKE_FILE | _REMOVE_FILE
    for paths, allowed in ((readable, reading), (writable, writing)):
        for path in paths:
            _allow(libc, rules, path, allowed & rights)
    done = not int(libc.syscall(_RESTRICT, ctypes.c_int(rules), ctypes.c_uint(0)))
    os.close(rules)
    return done


def _allow(libc: ctypes.CDLL, rules: int, path: str, allowed: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not stat.S_ISDIR(os.fstat(place).st_mode):
        allowed &= _OF_FILES
    beneath = struct.pack("=Qi", allowed, place)
    libc.syscall(_ADD, ctypes.c_int(rules), ctypes.c_int(1), beneath, ctypes.c_uint(0))
    os.close(place)
