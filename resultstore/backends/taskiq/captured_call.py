"""Call: the run of one task for one message, from its first line to its outcome."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Any

from resultstore.backends.taskiq.backend import ResultStoreBackend
from resultstore.backends.taskiq.stream_drain import StreamDrain
from resultstore.capture.outputs import capture
from resultstore.model.result import Result
from resultstore.store.attempt import Attempt, running

_called: ContextVar["CapturedCall | None"] = ContextVar("resultstore_taskiq_call", default=None)


class _Over(Exception):  # a signpost within this file: whoever waited for this thread has gone
    """The task was given up (a time-out) while this thread still worked for it."""


class CapturedCall:
    """One attempt, what it made, and whether it may still commit.

    Args:
        attempt: collects its parts.
        backend: encodes and seals.
    """

    def __init__(self, attempt: Attempt, backend: ResultStoreBackend[Any]) -> None:
        self.attempt = attempt
        self.record: Result | None = None
        self.until_ended = ExitStack()  # what holds this call current
        self._backend = backend
        self._loop = asyncio.get_running_loop()
        self._pid = os.getpid()
        self._lock = Lock()  # held while the outcome is committed: giving up waits for that
        self._taken = self._over = self._committing = False

    def take(self, task: str) -> bool:
        """Whether this is the receiver's call of `task`, which comes once: a task may call others like functions."""
        with self._lock:
            mine = not self._taken and not self.foreign and task == self.attempt.task
            self._taken = self._taken or mine
            return mine

    @property
    def foreign(self) -> bool:
        """Whether this is the copy that a fork inherited."""
        return self._pid != os.getpid()

    def finish(self, returned: object) -> object:
        """Store what the task returned, seal it where it must be, and give what travels. Never in the loop's thread.

        Where an earlier attempt has sealed this id, its value is given: all who look get the same outcome.
        Raises what `capture` and `Store.seal` raise, and WrongType for a plain value that is not JSON.
        """
        store, encoding = self._backend.store, self._backend.encoding
        try:
            with StreamDrain(self._loop, self._check) as reading:
                value = capture(store, reading.readable(returned))
            record = self._commit(encoding.encoded(value))
        except BaseException:
            self.discard()
            raise
        return value if record.nonce == self.attempt.nonce else encoding.decoded(store.value(record))

    def give_up(self) -> Result | None:
        """Let nothing be committed from now on; what has been, if it is sealed. Deletes the rest."""
        with self._lock:
            self._over = True
        self.discard()
        return self.record if self.record is not None and self.record.sealed else None

    def discard(self) -> None:
        """Delete what was made, unless a seal may stand that names it."""
        if not self._committing:
            self._backend.store.discard(self.attempt)

    def _commit(self, payload: bytes) -> Result:
        with self._lock:
            self._check()
            self._committing = True
            self.record = self._backend.outcome(self.attempt, payload)
            return self.record

    def _check(self) -> None:
        if self._over:
            raise _Over


@contextmanager
def calling(call: CapturedCall) -> Iterator[CapturedCall]:
    """Make `call` the current one, and its attempt the one that runs."""
    token = _called.set(call)
    try:
        with running(call.attempt):
            yield call
    finally:
        _called.reset(token)


def called() -> CapturedCall | None:
    """The call that runs here, or None outside a task."""
    return _called.get()
