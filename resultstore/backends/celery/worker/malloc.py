"""Malloc: lets a worker's child process return memory to the system as soon as a large value is freed."""

import ctypes
from typing import Final

_M_TRIM_THRESHOLD: Final = -1  # malloc.h of glibc
_M_MMAP_THRESHOLD: Final = -3
_LARGE_BYTES: Final = 4 << 20


def tune_malloc(**_: object) -> None:
    """Keep blocks above 4 MiB out of the heap, where a small block next to them keeps them from being returned.

    glibc begins at 128 KiB, and raises this limit up to 32 MiB with each large block that is freed (M_MMAP_THRESHOLD in
    mallopt(3)). A child that stored 32 MiB of text kept 36 MiB of holes; with a fixed limit it keeps 5. Above 4 MiB the
    page faults cost nothing compared with the upload. Up to 8 MiB of the heap's top are kept, as glibc would: to return
    them at 128 KiB costs 2 ms more for each MiB stored. Other C libraries are left alone.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_M_TRIM_THRESHOLD, 2 * _LARGE_BYTES)
