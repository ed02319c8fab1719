"""CaptureMiddleware: stores what actors return inside the actor's call, and records the state of each message."""

import functools
import threading
import time
from collections.abc import Callable, Iterable

from dramatiq import Actor, Broker, Message, Middleware, Worker, get_encoder
from dramatiq.broker import MessageProxy
from dramatiq.errors import ActorNotFound
from dramatiq.middleware import MiddlewareError, SkipMessage
from dramatiq.results import Results

from resultstore.backends.dramatiq.backend import ResultStoreBackend, Sent
from resultstore.capture.adapters import Adapter, Adapters
from resultstore.capture.run import run_captured, still_wanted, unwanted_message
from resultstore.capture.run_counts import counted_run, lost_message
from resultstore.dispatch.pending import save_pending
from resultstore.index.index import Overwrite
from resultstore.model.artifact import Artifact
from resultstore.model.errors import Misconfigured, ResultDeleted, ResultStoreError
from resultstore.model.headers import owner_in, set_default_owner
from resultstore.model.ids import id_of
from resultstore.model.layout import shortest_class
from resultstore.model.result import Result, State
from resultstore.store.attempt import Attempt, current

Body = Callable[..., object]


class EncoderUnsuitable(Misconfigured, MiddlewareError):
    """Dramatiq's encoder cannot write Artifacts. A MiddlewareError, because Dramatiq ignores others from a hook."""


class WorkerLost(ResultStoreError):
    """Each run of an actor lost its worker process; the message is not run again."""


class MessageDeleted(ResultDeleted, MiddlewareError):
    """The message's id was deleted. A MiddlewareError, because Dramatiq ignores others from a hook."""


class CaptureMiddleware(Middleware):
    """Streams an `Output`, a generator of bytes, an open binary file or a `Path` that an actor returns into the store.

    The Artifact takes its place: for the caller, along a pipeline and in callbacks.

    For actors that store results it also records each message from its dispatch on, and encodes and seals its value
    inside the actor's call. A value that cannot be written, or an object store that is away, fails the attempt.
    Dramatiq alone would log the error and acknowledge the message.

    Args:
        backend: writes the values, and knows the store.
        adapters: write other objects that actors return as files.
    """

    def __init__(self, backend: ResultStoreBackend, *, adapters: Iterable[Adapter] = ()) -> None:
        self._backend = backend
        self.adapters = Adapters(adapters)
        self._store = backend.store
        self._here = threading.local()  # the message that this worker thread is about to run

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Refuse an encoder that loses Artifacts: a pipeline would stop without an error.

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

        A message that names no owner gets the one of the running actor's message; so does the next message of its
        pipeline. Raises MessageDeleted for an id that was deleted: its task could store nothing.
        """
        attempt = current()
        set_default_owner(message.options, getattr(self._here, "owner", "") if attempt is None else attempt.owner)
        if _ttl_ms(broker, message) is None:
            return
        known = Result(
            id=id_of(message.message_id),
            task=message.actor_name,
            owner=owner_in(message.options),
            created_at=message.message_timestamp / 1000,
        )
        retries = message.options.get("retries", 0)
        if retries:
            trace = message.options.get("traceback") or ""
            retried = known.moved(State.RETRY, retries=retries, traceback=trace)
            self._store.save(retried, over=Overwrite.IF_UNFINISHED)
            return
        try:
            save_pending(self._store, known)
        except ResultDeleted as error:
            raise MessageDeleted(str(error)) from error

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        """Remember which message this thread is about to run. Raises SkipMessage for cancelled or deleted work."""
        if _ttl_ms(broker, message) is not None and not still_wanted(self._store, message.message_id):
            message.resultstore_unwanted = True  # type: ignore[attr-defined]  # this delivery's own object
            raise SkipMessage(unwanted_message(message.message_id))
        message.resultstore_started_at = time.time()  # type: ignore[attr-defined]  # this delivery's own object
        self._here.message = message
        # Kept until this thread's next message: Dramatiq sends a pipeline's next message after this one has ended.
        self._here.owner = owner_in(message.options)

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: object = None,
        exception: BaseException | None = None,
    ) -> None:
        """Forget the message; save the record of a sealed result that the Results middleware does not store."""
        self._here.message = None
        if getattr(message, "resultstore_sealed", None) is not None and _ttl_ms(broker, message) is None:
            self._backend.store_result(message, result, self._store.settings.results.expires_s * 1000)

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        """Forget the message; restore the record of an earlier run that was sealed.

        The Results middleware comes next and stores None, which must not hide the sealed value.
        """
        self._here.message = None
        if _ttl_ms(broker, message) is not None:
            self._store.load(message.message_id)

    def _captured(self, broker: Broker, actor: Actor[..., object], body: Body) -> Body:
        @functools.wraps(body)
        def fn(*args: object, **kwargs: object) -> object:
            message = self._take(actor)
            # Only the worker's own call is captured: an actor that is called like a function keeps its return value.
            if message is None:
                return body(*args, **kwargs)
            return self._run(broker, message, functools.partial(body, *args, **kwargs))

        return fn

    def _take(self, actor: Actor[..., object]) -> MessageProxy | None:
        """Return the message that this thread is about to run with `actor`, to the first caller only."""
        message: MessageProxy | None = getattr(self._here, "message", None)
        if message is None or message.actor_name != actor.actor_name:
            return None
        self._here.message = None
        return message

    def _run(self, broker: Broker, message: MessageProxy, body: Callable[[], object]) -> object:
        """Run the actor. Raises WorkerLost, which is not retried, when too many runs have lost their process."""
        max_runs = self._store.settings.results.max_runs
        redelivered = getattr(message, "redelivered", False)  # only RabbitMQ's messages have it
        counting = counted_run(self._store.index, message.message_id, is_redelivered=redelivered, max_runs=max_runs)
        with counting as may_run:
            if may_run:
                return self._run_captured(broker, message, body)
            message.options["throws"] = WorkerLost  # of this delivery: Dramatiq does not retry an error named here
            raise WorkerLost(lost_message(message.actor_name, message.message_id, runs=max_runs))

    def _run_captured(self, broker: Broker, message: MessageProxy, body: Callable[[], object]) -> object:
        ttl_ms = _ttl_ms(broker, message)
        retries = message.options.get("retries", 0)
        captured = run_captured(
            self._store,
            Attempt(
                message.message_id,
                task=message.actor_name,
                owner=owner_in(message.options),
                retries=retries,
                created_at=message.message_timestamp / 1000,
            ),
            body,
            codec=self._backend,
            given=(*message.args, *message.kwargs.values()),
            plain_max_bytes=None if ttl_ms is None else self._store.settings.results.inline_max_bytes,
            retention=None if ttl_ms is None else shortest_class(ttl_ms / 1000),
            adapters=self.adapters,
        )
        message.resultstore_sealed = captured.sealed  # type: ignore[attr-defined]  # this delivery's own object
        return captured.value


def _ttl_ms(broker: Broker, message: Sent) -> int | None:
    """Return how long the Results middleware keeps the result, in milliseconds; None when it does not store it."""
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
    """Return whether Dramatiq's encoder reads an Artifact as it wrote it."""
    sample = Artifact(
        id="a", name="b", file_name="b", key="c", etag="", size_bytes=0, media_type="", sha256="", stored_bytes=0
    )
    try:
        return get_encoder().decode(get_encoder().encode({"kwargs": {"sample": sample}})) == {
            "kwargs": {"sample": sample}
        }
    except Exception:  # noqa: BLE001 - a user's encoder may raise anything
        return False
