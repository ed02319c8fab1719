"""ResultStoreBackend: Dramatiq's result backend on top of a Store."""

import math
import platform
import time
import traceback

from dramatiq import Encoder, Message, PickleEncoder, get_encoder
from dramatiq.broker import MessageProxy
from dramatiq.results import ResultBackend, ResultFailure, ResultMissing, ResultTimeout
from dramatiq.results.backend import DEFAULT_TIMEOUT

from resultstore.backends.dramatiq.encoder import wrap_encoder
from resultstore.capture.adapters import explain_unwritable
from resultstore.capture.run import sealed_record
from resultstore.connect import connect
from resultstore.model.errors import Misconfigured, ResultDeleted, WrongType
from resultstore.model.headers import owner_in
from resultstore.model.ids import id_of
from resultstore.model.layout import shortest_class
from resultstore.model.result import Failure, Result, State
from resultstore.store import Store
from resultstore.store.attempt import Attempt

Sent = Message[object] | MessageProxy


class ResultStoreBackend(ResultBackend):
    """Stores state in the index, and large values and Artifacts in the object store, by message id.

    `ttl` limits how long the index keeps a record. Sealed results are kept for their retention class; a large plain
    value gets the shortest class that is at least its `ttl`.

    Args:
        store: where results are kept; by default `resultstore.connect()`.
        encoder: writes plain values; by default Dramatiq's current encoder. It is wrapped to carry Artifacts.

    Raises Misconfigured for Dramatiq's PickleEncoder: unpickling stored bytes could run any code.
    """

    def __init__(self, store: Store | None = None, *, encoder: Encoder | None = None) -> None:
        chosen = wrap_encoder(encoder or get_encoder())
        if isinstance(chosen.inner, PickleEncoder):
            raise Misconfigured(
                "Dramatiq's PickleEncoder is refused, because unpickling stored bytes could run any code: use "
                "ResultStoreBackend(encoder=dramatiq.JSONEncoder())"
            )
        super().__init__(encoder=chosen)
        self.store = connect() if store is None else store

    def encoded(self, value: object) -> bytes:
        """Return a plain value as the encoder writes it. Raises what it raises; WrongType for a library's object."""
        try:
            return self.encoder.encode(value)  # type: ignore[arg-type]  # declared for messages, and used for any value
        except (TypeError, ValueError) as error:
            explained = explain_unwritable(value)
            if not explained:
                raise
            raise WrongType(f"{explained} ({error})") from error

    def decoded(self, payload: bytes | None) -> object:
        """Return what `encoded` was given; None for None."""
        return None if payload is None else self.encoder.decode(payload)

    def build_message_key(self, message: Sent) -> str:
        """Return the message's id: the gateway and the command line use the same one."""
        return id_of(message.message_id)

    def get_result(self, message: Sent, *, block: bool = False, timeout: int | None = None) -> object:
        """Return what the actor returned.

        Args:
            message: the message, as `send` returned it.
            block: wait for the result; its announcement wakes the caller.
            timeout: milliseconds to wait at most; 10 seconds by default.

        Raises:
            ResultMissing: there is no result yet, or it has expired, and `block` is False; or it was deleted.
            ResultTimeout: there was no result in time.
            ResultFailure: the actor failed for good.
            ArtifactExpired: the retention of a large plain value is over.
        """
        found = self._wait(message, timeout) if block else self.store.load(self.build_message_key(message))
        if found is None or not found.terminal:
            raise ResultMissing(message)
        if found.state == State.SUCCESS:
            return self.unwrap_result(self.decoded(self.store.value(found)))
        failure = found.failure or Failure(found.state, "it was stopped")
        raise ResultFailure(f"actor raised {failure.type}: {failure.message}", failure.type, failure.message)

    def store_result(self, message: Sent, result: object, ttl: int) -> None:
        """Store what the actor returned for `ttl` milliseconds; nothing for a message that was not run."""
        # CaptureMiddleware sets these attributes; Dramatiq stores None for a message that it skips.
        if getattr(message, "resultstore_unwanted", False):
            return
        sealed: Result | None = getattr(message, "resultstore_sealed", None)
        record = sealed or self._with_value(_record_of(message), result, ttl)
        self._save(_with_facts(record, message, State.SUCCESS), ttl)

    def store_exception(self, message: Sent, exception: BaseException, ttl: int) -> None:
        """Store for `ttl` milliseconds why the actor failed for good. A sealed earlier attempt wins."""
        trace = "".join(traceback.format_exception(exception))
        record = _record_of(message).moved(State.FAILURE, failure=Failure.of(exception), traceback=trace)
        self._save(_with_facts(record, message, State.FAILURE), ttl)

    def _wait(self, message: Sent, timeout_ms: int | None) -> Result:
        timeout_s = (DEFAULT_TIMEOUT if timeout_ms is None else timeout_ms) / 1000
        try:
            return self.store.wait(self.build_message_key(message), timeout_s=timeout_s)
        except TimeoutError as error:
            raise ResultTimeout(message) from error
        except ResultDeleted as error:
            raise ResultMissing(message) from error

    def _store(self, message_key: str, result: object, ttl: int) -> None:
        self._save(self._with_value(Result(id=message_key), result, ttl).moved(State.SUCCESS), ttl)

    def _with_value(self, record: Result, result: object, ttl_ms: int) -> Result:
        """Return `record` with its value: in the record, or sealed where it is too large for the index."""
        value = self.encoded(result)
        if self.store.blobs is None or len(value) <= self.store.settings.results.inline_max_bytes:
            return record.moved(record.state, value=value)
        attempt = Attempt(record.id, task=record.task, owner=record.owner, retries=record.retries)
        return sealed_record(self.store, attempt, value=value, retention=shortest_class(ttl_ms / 1000))

    def _save(self, record: Result, ttl_ms: int) -> None:
        self.store.save(record, ttl_s=max(1, math.ceil(ttl_ms / 1000)))


def _record_of(message: Sent) -> Result:
    return Result(id=id_of(message.message_id), task=message.actor_name, owner=owner_in(message.options))


def _with_facts(record: Result, message: Sent, state: State) -> Result:
    """Return `record` in `state`, with what is known about the run."""
    return record.moved(
        state,
        created_at=message.message_timestamp / 1000,
        started_at=getattr(message, "resultstore_started_at", record.started_at),  # by CaptureMiddleware
        ended_at=time.time(),
        worker=platform.node(),
        retries=message.options.get("retries", 0),
    )
