"""ThreadLimit: a thread pool that a forked process makes anew, because a fork copies the pool without its threads."""

import os
from concurrent.futures import ThreadPoolExecutor
from threading import Lock, Semaphore


class ThreadLimit:
    """Up to `most` threads of this process, and a semaphore that counts them for callers that do not want to queue."""

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
        """One slot for each thread."""
        return self._own()[2]

    def _own(self) -> tuple[int, ThreadPoolExecutor, Semaphore]:
        with self._lock:
            if self._made is None or self._made[0] != os.getpid():
                pool = ThreadPoolExecutor(self._most, thread_name_prefix=self._name)
                self._made = (os.getpid(), pool, Semaphore(self._most))
            return self._made
