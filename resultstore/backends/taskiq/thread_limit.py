"""Threads: a pool that a process makes anew after a fork, which copies a pool's books and none of its threads."""

import os
from concurrent.futures import ThreadPoolExecutor
from threading import Lock, Semaphore


class ThreadLimit:
    """Up to `most` threads of this process, and a semaphore that counts them for those who would rather not queue."""

    def __init__(self, most: int, *, name: str) -> None:
        self._most = most
        self._name = name
        self._lock = Lock()
        self._made: tuple[int, ThreadPoolExecutor, Semaphore] | None = None

    @property
    def pool(self) -> ThreadPoolExecutor:
        """The threads."""
        return self._own()[1]

    @property
    def free(self) -> Semaphore:
        """As many slots as there may be threads."""
        return self._own()[2]

    def _own(self) -> tuple[int, ThreadPoolExecutor, Semaphore]:
        with self._lock:
            if self._made is None or self._made[0] != os.getpid():
                pool = ThreadPoolExecutor(self._most, thread_name_prefix=self._name)
                self._made = (os.getpid(), pool, Semaphore(self._most))
            return self._made
