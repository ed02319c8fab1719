"""ResultStoreBackend: Dramatiq's result backend over a Store."""

import math
import platform
import time
import traceback

from dramatiq import Encoder, Message, PickleEncoder, get_encoder
from dramatiq.broker import MessageProxy
from dramatiq.results import ResultBackend, ResultFailure, ResultMissing, ResultTimeout
from dramatiq.results.backend import DEFAULT_TIMEOUT

from resultstore.backends.dramatiq.encoder import wrap_encoder
from resultstore.capture.run import sealed_record
from resultstore.connect import connect
from resultstore.model.errors import Misconfigured, ResultDeleted
from resultstore.model.ids import id_of
from resultstore.model.layout import RETENTION_S
from resultstore.model.result import Failure, Result, State
from resultstore.store import Store
from resultstore.store.attempt import Attempt

Sent = Message[object] | MessageProxy
OWNER = "resultstore_owner"
"""The message's option that names who owns its Result."""


class ResultStoreBackend(ResultBackend):
    """State in the index, large values and Artifacts in the object store. A message's id is its Result's id.

    `ttl` bounds what stands in the index. What was sealed is kept for its retention class; for a large plain value that
    is the shortest class not below its `ttl`.

    Args:
        store: where results are kept; by default `resultstore.connect()`.
        encoder: writes plain values; by default Dramatiq's encoder of this moment. Artifacts are added around it.

    Raises Misconfigured for Dramatiq's PickleEncoder: a stored byte never becomes code.
    """

    def __init__(self, store: Store | None = None, *, encoder: Encoder | None = None) -> None:
        chosen = wrap_encoder(encoder or get_encoder())
        if isinstance(chosen.inner, PickleEncoder):
            raise Misconfigured(
                "Dramatiq's PickleEncoder would make code of stored bytes: use "
                "ResultStoreBackend(encoder=dramatiq.JSONEncoder())"
            )
        super().__init__(encoder=chosen)
        self.store = connect() if store is None else store

    def encoded(self, value: object) -> bytes:
        """A plain value as the encoder writes it."""
        return self.encoder.encode(value)  # type: ignore[arg-type]  # declared for messages, and used for any value

    def decoded(self, payload: bytes | None) -> object:
        """What `encoded` was given; None for nothing."""
        return None if payload is None else self.encoder.decode(payload)

    def build_message_key(self, message: Sent) -> str:
        """The message's id: one id all the way, so that the gateway and the command line know it too."""
        return id_of(message.message_id)

    def get_result(self, message: Sent, *, block: bool = False, timeout: int | None = None) -> object:
        """What the actor returned.

        Args:
            message: the message, as `send` gave it.
            block: wait for it, woken by its announcement.
            timeout: milliseconds to wait at most; 10 seconds by default.

        Raises:
            ResultMissing: it is not there (yet, or it has expired), and `block` is False; or it was deleted.
            ResultTimeout: it was not there in time.
            ResultFailure: the actor failed for good.
            ArtifactExpired: a large plain value was kept for its class and is not any more.
        """
        found = self._awaited(message, timeout) if block else self.store.load(self.build_message_key(message))
        if found is None or not found.terminal:
            raise ResultMissing(message)
        if found.state == State.SUCCESS:
            return self.unwrap_result(self.decoded(self.store.value(found)))
        why = found.failure or Failure(found.state, "it was stopped")
        raise ResultFailure(f"actor raised {why.type}: {why.message}", why.type, why.message)

    def store_result(self, message: Sent, result: object, ttl: int) -> None:
        """Keep what the actor returned, for `ttl` milliseconds; nothing for a message that was not run."""
        if getattr(message, "resultstore_unwanted", False):  # by Capture; Dramatiq stores None for what it skips
            return
        sealed: Result | None = getattr(message, "resultstore_sealed", None)  # by Capture, inside the actor's call
        record = sealed or self._kept(_record(message), result, ttl)
        self._save(_with_facts(record, message, State.SUCCESS), ttl)

    def store_exception(self, message: Sent, exception: BaseException, ttl: int) -> None:
        """Keep why the actor failed for good, for `ttl` milliseconds. An earlier attempt that was sealed wins."""
        told = "".join(traceback.format_exception(exception))
        record = _record(message).moved(State.FAILURE, failure=Failure.of(exception), traceback=told)
        self._save(_with_facts(record, message, State.FAILURE), ttl)

    def _awaited(self, message: Sent, timeout: int | None) -> Result:
        timeout_s = (DEFAULT_TIMEOUT if timeout is None else timeout) / 1000
        try:
            return self.store.wait(self.build_message_key(message), timeout_s=timeout_s)
        except TimeoutError as error:
            raise ResultTimeout(message) from error
        except ResultDeleted as error:
            raise ResultMissing(message) from error

    def _store(self, message_key: str, result: object, ttl: int) -> None:
        self._save(self._kept(Result(id=message_key), result, ttl).moved(State.SUCCESS), ttl)

    def _kept(self, record: Result, result: object, ttl: int) -> Result:
        """`record` with its value: inside, or in the object store where it is too large."""
        value = self.encoded(result)
        if self.store.blobs is None or len(value) <= self.store.settings.results.inline_max_bytes:
            return record.moved(record.state, value=value)
        attempt = Attempt(record.id, task=record.task, owner=record.owner, retries=record.retries)
        return sealed_record(self.store, attempt, value=value, retention=retention_for(ttl))

    def _save(self, record: Result, ttl: int) -> None:
        self.store.save(record, ttl_s=max(1, math.ceil(ttl / 1000)))


def retention_for(ttl_ms: int) -> str:
    """The shortest retention class that keeps something for `ttl_ms` milliseconds."""
    return next(name for name, length_s in RETENTION_S.items() if length_s is None or length_s * 1000 >= ttl_ms)


def owner_of(message: Sent) -> str:
    """The owner that the message names; "" for none."""
    owner = message.options.get(OWNER, "")
    return owner if isinstance(owner, str) else ""


def _record(message: Sent) -> Result:
    return Result(id=id_of(message.message_id), task=message.actor_name, owner=owner_of(message))


def _with_facts(record: Result, message: Sent, state: State) -> Result:
    """`record` in `state`, with what is known of the run."""
    return record.moved(
        state,
        created_at=message.message_timestamp / 1000,
        started_at=getattr(message, "resultstore_started_at", record.started_at),  # by Capture
        ended_at=time.time(),
        worker=platform.node(),
        retries=message.options.get("retries", 0),
    )
