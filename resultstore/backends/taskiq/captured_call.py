"""CapturedCall: the run of one task for one message, from its first line to its outcome."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Any

from resultstore.backends.taskiq.backend import ResultStoreBackend
from resultstore.backends.taskiq.stream_drain import StreamDrain
from resultstore.capture.adapters import NO_ADAPTERS, Adapters
from resultstore.capture.outputs import capture
from resultstore.model.result import Result
from resultstore.store.attempt import Attempt, running

_called: ContextVar["CapturedCall | None"] = ContextVar("resultstore_taskiq_call", default=None)


class _GivenUp(Exception):  # only used in this file: the waiter has left
    """The task was given up (a timeout) while this thread still worked for it."""


class CapturedCall:
    """One attempt, its outcome, and whether it may still commit.

    Args:
        attempt: collects the parts.
        backend: encodes the value and seals it.
        adapters: write the objects of libraries that the task returns.
    """

    def __init__(self, attempt: Attempt, backend: ResultStoreBackend[Any], *, adapters: Adapters = NO_ADAPTERS) -> None:
        self.attempt = attempt
        self._adapters = adapters
        self.record: Result | None = None
        self.until_ended = ExitStack()  # keeps this call the current one
        self._backend = backend
        self._loop = asyncio.get_running_loop()
        self._pid = os.getpid()
        self._lock = Lock()  # held while the outcome is committed: `give_up` waits for it
        self._taken = self._given_up = self._committing = False

    def take(self, task: str) -> bool:
        """Return whether this is the receiver's own call of `task`: only the first call is, a task may call others."""
        with self._lock:
            mine = not self._taken and not self.is_forked_copy and task == self.attempt.task
            self._taken = self._taken or mine
            return mine

    @property
    def is_forked_copy(self) -> bool:
        """Whether this process inherited the call by a fork."""
        return self._pid != os.getpid()

    def finish(self, returned: object) -> object:
        """Store what the task returned, seal it where needed, and return what is sent on. Not in the loop's thread.

        If an earlier attempt has sealed this id, its value is returned: every reader gets the same outcome.
        Raises what `capture` and `Store.seal` raise, and WrongType for a plain value that is not JSON.
        """
        store, codec = self._backend.store, self._backend.codec
        try:
            with StreamDrain(self._loop, self._check) as reading:
                value = capture(store, reading.readable(returned), adapters=self._adapters)
            record = self._commit(codec.encoded(value))
        except BaseException:
            self.discard()
            raise
        return value if record.nonce == self.attempt.nonce else codec.decoded(store.value(record))

    def give_up(self) -> Result | None:
        """Forbid a later commit, delete what is not sealed, and return the sealed Result if there is one."""
        with self._lock:
            self._given_up = True
        self.discard()
        return self.record if self.record is not None and self.record.sealed else None

    def discard(self) -> None:
        """Delete what was stored, unless a seal may name it already."""
        if not self._committing:
            self._backend.store.discard(self.attempt)

    def _commit(self, payload: bytes) -> Result:
        with self._lock:
            self._check()
            self._committing = True
            self.record = self._backend.outcome(self.attempt, payload)
            return self.record

    def _check(self) -> None:
        if self._given_up:
            raise _GivenUp


@contextmanager
def calling(call: CapturedCall) -> Iterator[CapturedCall]:
    """Make `call` and its attempt the current ones inside the block."""
    token = _called.set(call)
    try:
        with running(call.attempt):
            yield call
    finally:
        _called.reset(token)


def current_call() -> CapturedCall | None:
    """Return the call that runs here, or None outside a task."""
    return _called.get()
