"""Compat: what Celery before 5.7 lacks or does differently, one shim for each difference."""

import functools
import re
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import celery
from celery import states
from celery.app import trace
from celery.app.task import Context, Task
from celery.backends.base import BaseKeyValueStoreBackend, pending_results_t
from celery.exceptions import ImproperlyConfigured
from celery.worker import control
from celery.worker.request import Request
from kombu import compression as kombu_compression

from resultstore.telemetry.logs import Log

_log = Log(__name__)

OLDEST: Final = (5, 4)
UNSUPPORTED: Final = (
    "Celery {version} is installed, and resultstore supports Celery 5.4 to 5.7: run pip install 'celery>=5.4,<6'"
)
_TASK_DECIDES: Final = not hasattr(trace, "get_actual_ignore_result")  # until 5.5
_IS_NEWEST: Final = hasattr(BaseKeyValueStoreBackend, "chord_expires")  # 5.7 and later
_NOT_BEGUN: Final = frozenset({states.PENDING, states.RECEIVED, states.RETRY, states.REJECTED, "SENT"})
_STORES: Final = "_resultstore_stores"
_MAGIC: Final = b"\x00celery-compressed\x00"  # as Celery 5.7 marks a compressed result (celery/backends/base.py)


def check_version(version: str) -> None:
    """Check that this version of Celery is supported.

    Raises ImportError for one that is too old. A new major version is used, with a warning.
    """
    found = tuple(int(digits) for digits in re.findall(r"\d+", version)[:2])
    message = UNSUPPORTED.format(version=version)
    if found < OLDEST:
        raise ImportError(message)
    if found[0] > OLDEST[0]:
        warnings.warn(message, UserWarning, stacklevel=2)


def get_actual_ignore_result(task: Any, request: Any) -> bool:  # noqa: ANN401 - Celery's Task and Context
    """Return whether the value of a run is not stored: as its message says, or else its task.

    `celery.app.task` has this function since 5.7. Before 5.6, a message could not have the value stored of a task that
    ignores it. Drop it with 5.6.
    """
    given = getattr(request, "ignore_result", None)
    if _TASK_DECIDES:
        return bool(task.ignore_result or given)
    # Context has a default of the class, which says nothing about the message.
    is_default = isinstance(request, Context) and "ignore_result" not in vars(request)
    return bool(task.ignore_result if given is None or is_default else given)


def compress_payload(payload: bytes, method: str) -> bytes:
    """Return `payload` compressed and marked as Celery 5.7 does it, so that all versions read it. Drop it with 5.6."""
    body, media_type = kombu_compression.compress(payload, method)  # type: ignore[no-untyped-call]  # kombu has types in part
    return b"".join((_MAGIC, media_type.encode(), b"\x00", body))


def decompress_payload(payload: Any) -> Any:  # noqa: ANN401 - what Celery decodes: bytes or text
    """Return what `compress_payload` was given; another payload unchanged. Drop it with 5.6."""
    if not isinstance(payload, bytes) or not payload.startswith(_MAGIC):
        return payload
    media_type, _, body = payload.removeprefix(_MAGIC).partition(b"\x00")
    return kombu_compression.decompress(body, media_type.decode())  # type: ignore[no-untyped-call]  # the same


@contextmanager
def whole_requests() -> Iterator[None]:
    """Let tasks see their request below a `__call__` of their own class, in a worker on a thread of this process.

    Before 5.5, `Task.__call__` begins an empty request. Other workers are protected from that. Drop it with 5.4.
    """
    plain = Task.__call__
    if celery.VERSION[:2] < (5, 5):
        trace._install_stack_protection()  # noqa: SLF001 - what other workers call
    try:
        yield
    finally:
        if Task.__call__ is not plain:
            Task.__call__, Task._stackprotected = plain, False  # noqa: SLF001 - the same


def store_revocations(**_: object) -> None:
    """Let the workers of this process store REVOKED at once for a task that is revoked before it runs.

    Before 5.7, they do so when its message is due, after its `countdown`: until then, who waits for it hangs. Drop it
    with 5.6.
    """
    revoke = control._revoke  # noqa: SLF001 - what the command `revoke` calls
    if _IS_NEWEST or hasattr(revoke, _STORES):
        return

    @functools.wraps(revoke)
    def store_and_revoke(state: Any, task_ids: Iterable[str], *args: Any, **options: Any) -> Any:  # noqa: ANN401 - Celery's
        waiting = [one.entry.args[0] for one in state.consumer.timer.schedule.queue if one.entry.args]  # countdowns
        found = {one.id: one for one in waiting if isinstance(one, Request)}
        found |= {one.id: one for one in control._find_requests_by_id(task_ids)}  # noqa: SLF001 - the same
        for task_id in task_ids:
            # One that this worker does not hold may run in another, or be known to none.
            if (request := found.get(task_id)) is not None and request not in control.worker_state.active_requests:
                _store_revoked(request)
        return revoke(state, task_ids, *args, **options)

    setattr(store_and_revoke, _STORES, True)
    control._revoke = store_and_revoke  # noqa: SLF001 - the same


def _store_revoked(request: Any) -> None:  # noqa: ANN401 - Celery's Request
    backend = request.task.backend
    try:
        if (
            isinstance(backend, KeyValueBackend)
            and request.store_errors
            and backend.get_state(request.id) in _NOT_BEGUN
        ):
            backend.mark_as_revoked(request.id, reason="revoked")
    except Exception as error:  # noqa: BLE001 - the command must go on to revoke the task
        _log.warning("revocation_not_stored", id=request.id, error=repr(error))


def count_lost_parts(**_: object) -> None:
    """Let the workers of this process count a part of a chord whose pool process was lost after it stored the success.

    Since 5.7, they acknowledge its message then, so that no process would count it.
    """
    stored = getattr(Request, "_success_was_stored", None)
    if stored is None or hasattr(stored, _STORES):
        return

    @functools.wraps(stored)
    def count_and_return(self: Any) -> Any:  # noqa: ANN401 - Celery's Request
        meta = stored(self)
        backend, request = self.task.backend, self._context
        if meta and request.chord and hasattr(backend, "count_stored_part"):
            backend.count_stored_part(request)
        return meta

    setattr(count_and_return, _STORES, True)
    Request._success_was_stored = count_and_return  # noqa: SLF001 - the same


def renew_pending_results(backend: Any) -> Any:  # noqa: ANN401 - Celery's backends and its named tuple have no types
    """Give `backend` two empty dicts for those who wait, the second with weak references; return both.

    Since 5.7 each has the waiting results of an id under their identity. Before, one id had one waiter, in a dict of
    another form. Drop it with 5.6: `Backend._pending_results` is what this makes.
    """
    backend._pending_results = pending_results_t({}, {})  # noqa: SLF001 - see above
    return backend._pending_results  # noqa: SLF001 - the same


class KeyValueBackend(BaseKeyValueStoreBackend):
    """Celery's key-value backend with what 5.7 added. With 5.7 and later it is Celery's own. Drop it with 5.6."""

    def __init__(self, app: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Celery has no types
        super().__init__(app=app, **kwargs)
        self.compression = _prepare_compression(app.conf.get("result_compression"))

    @property
    def chord_expires(self) -> int | None:
        """How long a chord is kept, in seconds: `result_chord_expires`, or as long as results."""
        chosen = self.app.conf.get("result_chord_expires")
        found: int | None = self.expires if chosen is None else self.prepare_expires(chosen, type=int)
        return found

    def encode(self, data: object) -> Any:  # noqa: ANN401 - bytes or text
        """Encode `data`, compressed if `result_compression` is set."""
        payload = super().encode(data)
        if not self.compression:
            return payload
        return compress_payload(payload.encode() if isinstance(payload, str) else payload, self.compression)

    def decode(self, payload: Any) -> Any:  # noqa: ANN401 - the same
        """Decode `payload`, compressed or not."""
        return super().decode(decompress_payload(payload))

    def mark_as_failure(  # noqa: PLR0917 - Celery's signature
        self,
        task_id: str,
        exc: BaseException,
        traceback: str | None = None,
        request: Any = None,  # noqa: ANN401 - Celery's Context
        store_result: bool = True,  # noqa: FBT001, FBT002 - Celery's signature
        call_errbacks: bool = True,  # noqa: FBT001, FBT002 - Celery's signature
        state: str = states.FAILURE,
    ) -> None:
        """Store a failure, and fail what depends on it. Celery before 5.7 does not fail the body of a chained chord."""
        if store_result:
            self.store_result(task_id, exc, state, traceback=traceback, request=request)
        if not request:
            return
        if request.chord:
            self.on_chord_part_return(request, state, exc)
        self._fail_chain(getattr(request, "chain", None), exc, traceback, store_result=store_result, state=state)
        if call_errbacks and request.errbacks:
            self._call_task_errbacks(request, exc, traceback)


def fail_chain(
    backend: Any,  # noqa: ANN401 - Celery's backends have no types
    chain: Iterable[dict[str, Any]] | None,
    exc: BaseException,
    traceback: str | None = None,
    *,
    store_result: bool = True,
    state: str = states.FAILURE,
) -> None:
    """Fail the tasks after a failed link, with the bodies of chords among them.

    A part that has failed before is counted again, unlike in Celery 5.7: the process that stored its failure may have
    been killed before it counted. Native chords count each part once; those of other stores do not.
    """
    counts_once = backend.groups.chords is not None
    ahead = deque(chain if isinstance(chain, list | tuple) else ())
    while ahead:
        link = Context(ahead.popleft())
        link.update(link.options)
        link.id, link.group = link.options.get("task_id"), link.options.get("group_id")
        is_part = "chord" in link.options
        if is_part and not counts_once and link.id is not None:
            is_part = backend.get_state(link.id) not in states.PROPAGATE_STATES
        if store_result and state in states.PROPAGATE_STATES and link.id is not None:
            backend.store_result(link.id, exc, state, traceback=traceback, request=link)
        if is_part:
            backend.on_chord_part_return(link, state, exc)
        if getattr(link, "subtask_type", None) == "chord" and (body := (link.kwargs or {}).get("body")):
            ahead.append(body)


def _prepare_compression(method: str | None) -> str | None:
    """Return the method. Raises ImproperlyConfigured for one that kombu does not know."""
    if not method:
        return None
    try:
        kombu_compression.get_encoder(method)  # type: ignore[no-untyped-call]  # the same
    except KeyError as error:
        known = ", ".join(sorted(kombu_compression.encoders()))  # type: ignore[no-untyped-call]  # the same
        raise ImproperlyConfigured(f"result_compression is {method!r}: set one of {known}") from error
    return method


if _IS_NEWEST:
    KeyValueBackend = BaseKeyValueStoreBackend  # type: ignore[misc]

check_version(celery.__version__)
