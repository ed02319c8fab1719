"""run_captured: runs one attempt of a task, and stores and seals what it returns before it is sent on."""

from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from resultstore.capture.adapters import NO_ADAPTERS, Adapters
from resultstore.capture.outputs import capture
from resultstore.model.artifact import Artifact
from resultstore.model.errors import BadInput, Damaged, Unavailable
from resultstore.model.result import Result
from resultstore.store import Store
from resultstore.store.attempt import Attempt, running
from resultstore.telemetry.logs import Log
from resultstore.uploads.rejection import check_digest, delete_rejected

_log = Log(__name__)


class Codec(Protocol):
    """How a backend writes plain values."""

    def encoded(self, value: object) -> bytes:
        """Return a plain value as the backend's serializer writes it."""

    def decoded(self, payload: bytes | None) -> object:
        """Return what `encoded` was given; None for None."""


class CaptureResult(msgspec.Struct, frozen=True):
    """The value that is sent on, and the Result that was sealed for it; None where nothing had to be sealed."""

    value: object
    sealed: Result | None


def run_captured(
    store: Store,
    attempt: Attempt,
    body: Callable[[], object],
    *,
    codec: Codec,
    given: Iterable[object] = (),
    plain_max_bytes: int | None = None,
    retention: str | None = None,
    spilled: Callable[[object], object] = lambda value: value,
    adapters: Adapters = NO_ADAPTERS,
) -> CaptureResult:
    """Run `body` as `attempt`, store its large outputs, seal them with its plain value, and return what is sent on.

    Everything is sealed when this returns, because task queues may send the next message of a chain and the callbacks
    before they store the result. If an earlier attempt has sealed this id, its outcome is returned: every reader gets
    the same.

    Args:
        store: takes the large outputs.
        attempt: this run; it is the current one while `body` runs.
        body: the task's own code, its arguments bound.
        codec: how the backend writes plain values.
        given: the task's arguments. An upload among them (an Artifact of the task's own id) becomes its first part.
        plain_max_bytes: a plain value whose encoded form is longer is sealed too, if there is an object store; None
            for none.
        retention: the class of what is sealed without an Artifact; by default `settings.results.retention`.
        spilled: returns what is sent on for the captured value: the backend's reference to one that is too large.
        adapters: write the objects of libraries that `body` returns.

    Raises what `body`, `capture`, the codec and `Store.seal` raise. Unless sealing failed, what was stored is deleted.
    When `body` rejects its adopted upload (BadInput), the upload is deleted too, and UploadRejected is raised.
    """
    with running(attempt):
        try:
            _adopt(store, attempt, given)
            value = spilled(capture(store, body(), adapters=adapters))
            payload = _to_seal(store, attempt, value, codec=codec, plain_max_bytes=plain_max_bytes)
        except BaseException as error:
            # Nothing of this attempt was sealed, so no reader can know its blobs.
            store.discard(attempt)
            if isinstance(error, BadInput):
                raise delete_rejected(store, attempt, error) from error
            raise
        if payload is None:
            return CaptureResult(value, None)
        sealed = sealed_record(store, attempt, value=payload, retention=retention)
    mine = sealed.nonce == attempt.nonce
    return CaptureResult(value if mine else codec.decoded(store.value(sealed)), sealed)


def still_wanted(store: Store, result_id: str) -> bool:
    """Return whether a worker is to begin this task: it was neither cancelled nor deleted while it waited.

    While a server is away the answer is yes: the outcome of a deleted task is refused again when it is stored.
    """
    try:
        wanted = store.is_wanted(result_id)
    except (Unavailable, Damaged) as error:
        _log.warning("cancellation_not_checked", id=result_id, error=str(error))
        return True
    if not wanted:
        _log.info("work_not_started", id=result_id, reason="it was cancelled or deleted")
    return wanted


def unwanted_message(result_id: str) -> str:
    """Return why a task is not begun, for the error that its task queue takes."""
    return f"{result_id} was cancelled or deleted while it waited: it is not run"


def sealed_record(store: Store, attempt: Attempt, *, value: bytes, retention: str | None = None) -> Result:
    """Seal `attempt` with `value` and return its record, without a value that is too long for the index.

    Raises what `Store.seal` raises.
    """
    sealed = store.seal(attempt, value=value, retention=retention)
    is_long = sealed.value is not None and len(sealed.value) > store.settings.results.inline_max_bytes
    return sealed.moved(sealed.state, value=None) if is_long else sealed


def _adopt(store: Store, attempt: Attempt, given: Iterable[object]) -> None:
    for one in given:
        if isinstance(one, Artifact) and one.id == attempt.id:
            store.adopt(one, attempt)
            check_digest(attempt)


def _to_seal(
    store: Store, attempt: Attempt, value: object, *, codec: Codec, plain_max_bytes: int | None
) -> bytes | None:
    """Return the encoded value when it must be sealed, else None."""
    if attempt.keys or attempt.artifacts:  # its outputs, a spilled value, or an adopted upload
        return codec.encoded(value)
    if plain_max_bytes is None:
        return None
    payload = codec.encoded(value)
    return payload if store.blobs is not None and len(payload) > plain_max_bytes else None
