"""Thrift: a worker's child gives memory back as soon as it is done with a large value."""

import ctypes
from typing import Final

from celery.signals import worker_process_init

_M_TRIM_THRESHOLD: Final = -1  # malloc.h of glibc
_M_MMAP_THRESHOLD: Final = -3
_LARGE_BYTES: Final = 4 << 20


class MallocTuner:
    """Keeps what is above 4 MiB out of the heap of each child, where a small neighbour would hold it for ever.

    glibc begins so at 128 KiB, and moves the border up to 32 MiB with each large block that is freed
    (M_MMAP_THRESHOLD in mallopt(3)): a child that stored 32 MiB of text was left with 36 MiB of holes; so it is with 5.
    Another C library is left as it is. Above 4 MiB the page faults are nothing beside the upload. Below, the top of the
    heap is kept up to twice that, as glibc itself would: given back at 128 KiB, it cost 2 ms more for each MiB stored.

    For as long as this object lives: Celery's signals hold it weakly.
    """

    def __init__(self) -> None:
        worker_process_init.connect(self._began, weak=True)

    def _began(self, **_: object) -> None:
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
            mallopt(_M_TRIM_THRESHOLD, 2 * _LARGE_BYTES)
