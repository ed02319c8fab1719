"""Capturing: one attempt of a task, inside a worker's call: what it returns is stored and sealed before it travels."""

from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from resultstore.capture.outputs import capture
from resultstore.model.artifact import Artifact
from resultstore.model.errors import BadInput, Damaged, Unavailable
from resultstore.model.result import Result
from resultstore.store import Store
from resultstore.store.attempt import Attempt, running
from resultstore.telemetry.logs import Log
from resultstore.uploads.rejection import check_digest, rejected

_log = Log(__name__)


class Codec(Protocol):
    """How a door writes plain values."""

    def encoded(self, value: object) -> bytes:
        """A plain value as the door's serializer writes it."""

    def decoded(self, payload: bytes | None) -> object:
        """What `encoded` was given; None for nothing."""


class CaptureResult(msgspec.Struct, frozen=True):
    """What travels, and the Result that was sealed for it; None where there was nothing to seal."""

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
) -> CaptureResult:
    """Run `body` as `attempt`: store its large outputs, seal them with its plain value, and give what travels.

    Everything is sealed when this returns: frameworks publish the next message of a chain or pipeline, and the
    callbacks, before or beside storing the result, and they must find what they are sent. An attempt that comes second
    gives the outcome of the first: all who look, now or later, get the same.

    Args:
        store: takes what is large.
        attempt: this run; it is the current one while `body` runs.
        body: the task's own code, its arguments bound.
        codec: how the door writes plain values.
        given: the task's arguments. An upload among them (an Artifact of the task's own id) becomes its first part.
        plain_max_bytes: a plain value that is longer when encoded is sealed too, where there is an object store; None
            leaves plain values to the door.
        retention: the class of what is sealed without an Artifact; by default `Settings.retention`.
        spilled: gives what shall travel in place of the captured value: the door's reference where it is too big.

    Raises what `body`, `capture`, the codec and `Store.seal` raise. What was stored before any but the last of them
    failed is deleted; an upload that was adopted too when the body calls it a bad input (UploadRejected).
    """
    with running(attempt):
        try:
            _adopt(store, attempt, given)
            value = spilled(capture(store, body()))
            payload = _to_seal(store, attempt, value, codec=codec, plain_max_bytes=plain_max_bytes)
        except BaseException as error:
            # Nothing of this attempt was sealed, so nobody can have been told of its blobs.
            store.discard(attempt)
            if isinstance(error, BadInput):
                raise rejected(store, attempt, error) from error
            raise
        if payload is None:
            return CaptureResult(value, None)
        sealed = sealed_record(store, attempt, value=payload, retention=retention)
    mine = sealed.nonce == attempt.nonce
    return CaptureResult(value if mine else codec.decoded(store.value(sealed)), sealed)


def still_wanted(store: Store, result_id: str) -> bool:
    """Whether a worker shall begin this work: nobody has cancelled or deleted it while it waited.

    While a server is away the answer is yes: what was deleted is refused again when the outcome is stored.
    """
    try:
        wanted = store.is_wanted(result_id)
    except (Unavailable, Damaged) as error:
        _log.warning("cancellation_not_checked", id=result_id, error=str(error))
        return True
    if not wanted:
        _log.info("work_not_started", id=result_id, reason="it was cancelled or deleted")
    return wanted


def sealed_record(store: Store, attempt: Attempt, *, value: bytes, retention: str | None = None) -> Result:
    """Seal `attempt` with `value` and give its record, in which a long value is left to the seal.

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
    """The encoded value when it has to be sealed, else None."""
    if attempt.keys or attempt.artifacts:  # what it made, a value that was spilled, or an upload that it adopted
        return codec.encoded(value)
    if plain_max_bytes is None:
        return None
    payload = codec.encoded(value)
    return payload if store.blobs is not None and len(payload) > plain_max_bytes else None
