"""Capture: a middleware that stores large outputs inside the actor's call, and shows what becomes of a message."""

import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dramatiq import Actor, Broker, Message, Middleware, Worker, get_encoder
from dramatiq.broker import MessageProxy
from dramatiq.errors import ActorNotFound
from dramatiq.middleware import MiddlewareError, SkipMessage
from dramatiq.results import Results

from resultstore.backends.dramatiq.backend import OWNER, ResultStoreBackend, Sent, owner_of, retention_for
from resultstore.capture.run import run_captured, still_wanted
from resultstore.capture.run_counts import RunCounts, lost_message
from resultstore.index.index import Overwrite
from resultstore.model.artifact import Artifact
from resultstore.model.errors import Misconfigured, ResultDeleted, ResultStoreError
from resultstore.model.ids import id_of
from resultstore.model.result import Result, State
from resultstore.store.attempt import Attempt, current

Body = Callable[..., object]


class EncoderUnsuitable(Misconfigured, MiddlewareError):
    """Dramatiq's encoder cannot write Artifacts. A MiddlewareError: Dramatiq ignores what else a hook raises."""


class WorkerLost(ResultStoreError):
    """The worker process of an actor was lost in each of its runs; it is not run once more."""


class MessageDeleted(ResultDeleted, MiddlewareError):
    """The message's id was deleted. A MiddlewareError: Dramatiq ignores what else a hook raises."""


class Capture(Middleware):
    """Captures what actors return: an `Output`, a generator of bytes, an open binary file or a `Path` is streamed into
    the store, and its Artifact travels in its place: to the caller, along a pipeline, to callbacks.

    For actors that store results it also shows each message from its dispatch on, and encodes and seals its
    value inside the actor's call: a value that cannot be written, or an object store that is away, fails the attempt.
    Dramatiq alone would log it and acknowledge the message.

    Args:
        backend: how values are written, and the store that takes them.
    """

    def __init__(self, backend: ResultStoreBackend) -> None:
        self._backend = backend
        self._store = backend.store
        self._here = threading.local()  # the message that this worker thread is about to run

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Refuse to work with an encoder that loses Artifacts: a pipeline would stop without a word.

        Raises EncoderUnsuitable.
        """
        if not _carries_artifacts():
            raise EncoderUnsuitable(
                f"Dramatiq's {type(get_encoder()).__name__} cannot write Artifacts: call setup(broker) after "
                "dramatiq.set_encoder(...), or set ArtifactEncoder(your_encoder)"
            )

    def after_declare_actor(self, broker: Broker, actor: Actor[..., object]) -> None:
        """Wrap the actor's function."""
        actor.fn = self._captured(broker, actor, actor.fn)

    def before_enqueue(self, broker: Broker, message: Message[object], delay: int) -> None:
        """Write the PENDING record at dispatch, so that polls of known work never ask the object store.

        Raises MessageDeleted for an id that was deleted: a message of that id would store nothing.
        What a running actor sends belongs to the owner of its own message; so does the next message of its pipeline.
        """
        attempt = current()
        heir = getattr(self._here, "owner", "") if attempt is None else attempt.owner
        if heir and not message.options.get(OWNER):
            message.options[OWNER] = heir
        if _ttl_ms(broker, message) is None:
            return
        known = Result(
            id=id_of(message.message_id),
            task=message.actor_name,
            owner=owner_of(message),
            created_at=message.message_timestamp / 1000,
        )
        retries = message.options.get("retries", 0)
        if not retries:
            if not self._store.save(known, over=Overwrite.IF_ABSENT) and self._store.was_deleted(known.id):
                raise MessageDeleted(str(ResultDeleted.of(known.id)))
            return
        told = message.options.get("traceback") or ""
        self._store.save(known.moved(State.RETRY, retries=retries, traceback=told), over=Overwrite.IF_UNFINISHED)

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        """Remember which message this thread is about to run. Raises SkipMessage for cancelled or deleted work."""
        if _ttl_ms(broker, message) is not None and not still_wanted(self._store, message.message_id):
            message.resultstore_unwanted = True  # type: ignore[attr-defined]  # this delivery's own object
            raise SkipMessage(f"{message.message_id} was cancelled or deleted while it waited")
        message.resultstore_started_at = time.time()  # type: ignore[attr-defined]  # this delivery's own object
        self._here.message = message
        self._here.owner = owner_of(message)  # until this thread's next one: pipelines send on behind this one's end

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: object = None,
        exception: BaseException | None = None,
    ) -> None:
        """Forget the message; show what was sealed where the Results middleware will not."""
        self._here.message = None
        if getattr(message, "resultstore_sealed", None) is not None and _ttl_ms(broker, message) is None:
            self._backend.store_result(message, result, self._store.settings.results.expires_s * 1000)

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        """Forget the message; put back the record of a run before that was sealed.

        The Results middleware comes next and stores None, which must not hide what was sealed.
        """
        self._here.message = None
        if _ttl_ms(broker, message) is not None:
            self._store.load(message.message_id)

    def _captured(self, broker: Broker, actor: Actor[..., object], body: Body) -> Body:
        @functools.wraps(body)
        def fn(*args: object, **kwargs: object) -> object:
            message = self._taken(actor)
            # Only the worker's own call is captured: an actor that is called like a function returns what it returns.
            if message is None:
                return body(*args, **kwargs)
            return self._run(broker, message, functools.partial(body, *args, **kwargs))

        return fn

    def _taken(self, actor: Actor[..., object]) -> MessageProxy | None:
        """The message that this thread is about to run with `actor`, for its first caller."""
        message: MessageProxy | None = getattr(self._here, "message", None)
        if message is None or message.actor_name != actor.actor_name:
            return None
        self._here.message = None
        return message

    def _run(self, broker: Broker, message: MessageProxy, body: Callable[[], object]) -> object:
        with self._counted(message):
            return self._run_once(broker, message, body)

    @contextmanager
    def _counted(self, message: MessageProxy) -> Iterator[None]:
        """Count this run of a message that RabbitMQ delivers again. Raises WorkerLost, which is not retried."""
        most = self._store.settings.results.max_runs
        if not most or not getattr(message, "redelivered", False):  # other brokers do not say it
            yield
            return
        counts = RunCounts(self._store.index)
        try:
            if counts.begin(message.message_id) > most:
                message.options["throws"] = WorkerLost  # of this delivery: Dramatiq retries nothing that is named there
                raise WorkerLost(lost_message(message.actor_name, message.message_id, runs=most))
            yield
        finally:
            counts.end(message.message_id)

    def _run_once(self, broker: Broker, message: MessageProxy, body: Callable[[], object]) -> object:
        ttl_ms = _ttl_ms(broker, message)
        retries = message.options.get("retries", 0)
        captured = run_captured(
            self._store,
            Attempt(message.message_id, task=message.actor_name, owner=owner_of(message), retries=retries),
            body,
            codec=self._backend,
            given=(*message.args, *message.kwargs.values()),
            plain_max_bytes=None if ttl_ms is None else self._store.settings.results.inline_max_bytes,
            retention=None if ttl_ms is None else retention_for(ttl_ms),
        )
        message.resultstore_sealed = captured.sealed  # type: ignore[attr-defined]  # this delivery's own object
        return captured.value


def _ttl_ms(broker: Broker, message: Sent) -> int | None:
    """How long the Results middleware will keep the result in milliseconds; None when it will not store it."""
    results = next((one for one in broker.middleware if isinstance(one, Results)), None)
    if results is None:
        return None
    try:
        options = {**broker.get_actor(message.actor_name).options, **message.options}
    except ActorNotFound:
        return None
    wanted = options.get("store_results", results.store_results)
    ttl_ms: int = options.get("result_ttl", results.result_ttl)
    return ttl_ms if wanted else None


def _carries_artifacts() -> bool:
    """Whether Dramatiq's encoder gives an Artifact back as it was."""
    sample = Artifact(
        id="a", name="b", file_name="b", key="c", etag="", size_bytes=0, media_type="", sha256="", stored_bytes=0
    )
    try:
        return get_encoder().decode(get_encoder().encode({"kwargs": {"sample": sample}})) == {
            "kwargs": {"sample": sample}
        }
    except Exception:  # noqa: BLE001 - whatever a foreign encoder raises, it does not carry Artifacts
        return False
