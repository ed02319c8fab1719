"""ResultStoreBackend: Celery's result backend over a Store."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from celery import Celery, states
from celery.backends.asynchronous import AsyncBackendMixin
from celery.result import AsyncResult
from celery.signals import before_task_publish, task_prerun, worker_process_init, worker_ready

from resultstore.backends.celery.capture.return_value import sent_form
from resultstore.backends.celery.chord.celery_groups import CeleryGroups
from resultstore.backends.celery.chord.chords import INLINE_MAX_BYTES
from resultstore.backends.celery.chord.failing import list_unrun
from resultstore.backends.celery.chord.timer import ChordTimer
from resultstore.backends.celery.compat import count_lost_parts, fail_chain, store_revocations
from resultstore.backends.celery.publish.announce import TaskAnnouncer
from resultstore.backends.celery.publish.dispatch_once import mark_dispatch
from resultstore.backends.celery.publish.steps import PublishSteps
from resultstore.backends.celery.publish.timing import mark_begun, mark_sent
from resultstore.backends.celery.publish.workflow_notes import WorkflowNotes
from resultstore.backends.celery.record.decoder import PollPlan, ResultDecoder
from resultstore.backends.celery.record.meta import TaskMeta
from resultstore.backends.celery.record.result_writer import ResultWriter
from resultstore.backends.celery.signals import Signals
from resultstore.backends.celery.store_backend import StoreBackend
from resultstore.backends.celery.task_owner import current_owner, mark_owner, owner_of
from resultstore.backends.celery.wait.consumer import ResultConsumer
from resultstore.backends.celery.wait.coroutine_notifier import CoroutineNotifier
from resultstore.backends.celery.wait.pending_results import PendingResults
from resultstore.backends.celery.wait.per_process import PerProcess
from resultstore.backends.celery.worker.malloc import tune_malloc
from resultstore.index.index import IdChecker, Subscription
from resultstore.model.ids import id_of, state_of
from resultstore.telemetry.redaction import secret_url


class ResultStoreBackend(AsyncBackendMixin, StoreBackend):
    """State and small values in Redis, large values and Artifacts in the object store.

    What Celery calls is a thin method here; each of the objects that do the work is built in the constructor.

    Args:
        app: the Celery app.
        url: `redis://host:6379/0`, `rediss://`, `socket:///path` or `sentinel://host:26379/0;sentinel://...`;
            `redis-cluster://host:6379;...`; `?blobs=s3://bucket/prefix` overrides RESULTSTORE_BLOBS_URL.
    """

    ResultConsumer = ResultConsumer
    supports_native_join = True

    def __init__(self, app: Celery, url: str | None = None, **kwargs: object) -> None:
        url = url and secret_url(url)  # a traceback may show local variables
        super().__init__(app=app, url=url, **kwargs)
        self.groups = CeleryGroups(self)
        self.writer = ResultWriter(self, legacy=self.legacy if self.servers.publish_legacy else None)
        self.result_decoder = ResultDecoder(
            self.store,
            decode=self.decode,
            resolved=self.resolve,
            exception_of=self.exception_to_python,
            timezone=lambda: self.app.timezone,
        )
        self._build_waiters()
        self._connect_signals()

    def _build_waiters(self) -> None:
        index = self.store.index
        self.pending = PendingResults(self, check_id=index.check_id if isinstance(index, IdChecker) else bool)
        self.result_consumer = self.ResultConsumer(
            self, self.app, self.accept, self._pending_results, self._pending_messages
        )
        self.notifier = PerProcess(lambda: CoroutineNotifier(self))

    def _connect_signals(self) -> None:
        index, life_s = self.store.index, self.expires or 0
        self.announcer = TaskAnnouncer(
            index,
            expect=self.result_consumer.expect,
            life_s=life_s,
            tracks_sent=self.servers.track_sent,
            writes_pending=self.store.blobs is not None,
        )
        notes = WorkflowNotes(index, life_s=life_s)
        steps = PublishSteps(mark_sent, mark_owner, mark_dispatch, notes.note, last=self.announcer.announce)
        self.signals = Signals()
        self.signals.connect(before_task_publish, steps.run)
        self.signals.connect(task_prerun, mark_begun)
        self.signals.connect(worker_process_init, tune_malloc)
        self.signals.connect(worker_ready, store_revocations)
        self.signals.connect(worker_ready, count_lost_parts)
        if (chords := self.groups.chords) is not None:
            ChordTimer(self.app, chords.publish_due, lease_s=chords.outbox.lease_s).connect(self.signals)

    # --- storing ----------------------------------------------------------------------------------------------------

    def store_result(
        self,
        task_id: object,
        result: object,
        state: object,
        traceback: str | None = None,
        request: Any = None,  # noqa: ANN401 - Celery's Context
        **kwargs: object,
    ) -> object:
        """Store a state and a value. A state may be a member of an Enum. Raises BadReference for a bad id."""
        stored: object = super().store_result(
            id_of(task_id), result, state_of(state), traceback, request=request, **kwargs
        )
        return stored

    def _store_result(
        self,
        task_id: str,
        result: object,
        state: str,
        traceback: str | None = None,
        request: Any = None,  # noqa: ANN401 - Celery's Context
        **_: object,
    ) -> object:
        self.writer.write(task_id, result, state, traceback=traceback, request=request)
        return result

    def mark_as_done(
        self,
        task_id: str,
        result: object,
        request: Any = None,  # noqa: ANN401 - Celery's Context
        store_result: bool = True,  # noqa: FBT001, FBT002 - Celery's signature
        state: str = states.SUCCESS,
    ) -> None:
        """Store the outcome of a task that has succeeded, and count it for its chord."""
        with sent_form(request, result) as stored:
            super().mark_as_done(task_id, stored, request, store_result, state)

    def forget(self, task_id: str) -> None:
        """Delete the result, and unsubscribe from its id."""
        super().forget(id_of(task_id))
        self.result_consumer.cancel_for(id_of(task_id))

    def _forget(self, task_id: str) -> None:
        self.store.delete(task_id)

    # --- looking up -------------------------------------------------------------------------------------------------

    def get_state(self, task_id: str) -> str:
        """Return the state alone: no value is read, whatever its size."""
        found = self.store.peek(id_of(task_id))
        return states.PENDING if found is None else str(found.state)

    def task_result_exists(self, task_id: str) -> bool:
        """Return whether anything is known of the id."""
        return self.store.peek(id_of(task_id)) is not None

    def get_task_meta(self, task_id: object, cache: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002 - Celery's signature
        """Return what is known of a task. Raises BadReference for a bad id."""
        meta: dict[str, Any] = super().get_task_meta(id_of(task_id), cache=cache)
        return meta

    def meta_from_decoded(self, meta: dict[str, Any]) -> dict[str, Any]:
        """Return `meta` with its exception restored; a TaskMeta does that itself."""
        return meta if isinstance(meta, TaskMeta) else dict(super().meta_from_decoded(meta))

    def get_many(  # noqa: PLR0917 - Celery's signature
        self,
        task_ids: Iterable[str],
        timeout: float | None = None,
        interval: float | None = 0.5,
        no_ack: bool = True,  # noqa: FBT001, FBT002, ARG002 - Celery's signature
        on_message: Callable[[TaskMeta], object] | None = None,
        on_interval: Callable[[], object] | None = None,
        max_iterations: int | None = None,
        READY_STATES: frozenset[str] = states.READY_STATES,  # noqa: N803 - Celery's signature
    ) -> Iterator[tuple[str, TaskMeta]]:
        """Yield each id with its meta once it is ready; one round trip for all others, every `interval` seconds."""
        plan = PollPlan(
            timeout_s=timeout,
            pause_s=0.5 if interval is None else interval,
            max_rounds=max_iterations,
            between=on_interval,
        )
        asked = {id_of(one): one for one in task_ids}
        for meta in self.result_decoder.poll_until_ready(asked, plan, ready_states=READY_STATES):
            if on_message is not None:
                on_message(meta)
            yield asked[str(meta["task_id"])], meta

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        found = self.store.peek(task_id)
        if found is not None and found.terminal:
            self.result_consumer.poll_announced()
        elif found is not None and found.unread:
            found = self.store.load(task_id)  # at once: later the rest may be another state's
        return {"status": states.PENDING, "result": None} if found is None else TaskMeta(found, self.result_decoder)

    # --- waiting ----------------------------------------------------------------------------------------------------

    def open_subscription(self) -> Subscription:
        """Open a connection that receives the announcements of many ids."""
        if self.servers.legacy_redis:
            return self.legacy.open_subscription()
        return self.store.index.events.open_subscription()

    def wait_for_pending(
        self,
        result: AsyncResult,
        callback: Callable[[str, object], object] | None = None,
        propagate: bool = True,  # noqa: FBT001, FBT002 - Celery's signature
        on_interval: Callable[[], object] | None = None,
        **kwargs: object,
    ) -> object:
        """Wait for one result; return its value or raise its error, a parent's before its own.

        Celery raises a parent's error in `on_interval`. A result that is ready at the first look never gets there.
        """
        self._ensure_not_eager()
        for _ in self._wait_for_pending(result, on_interval=on_interval, **kwargs):
            pass
        if on_interval is not None and result.state in states.PROPAGATE_STATES:
            on_interval()
        return result.maybe_throw(callback=callback, propagate=propagate)

    def add_pending_result(self, result: Any, weak: bool = False, start_drainer: bool = True) -> Any:  # noqa: ANN401, FBT001, FBT002 - Celery's signature
        """Wait for a result. Raises BadReference for an id that the index cannot store."""
        self.pending.check_id(id_of(result.id))
        if start_drainer:
            self.result_consumer.drainer.start()
        if self.pending.add(result, weak=weak):
            self.result_consumer.consume_from(id_of(result.id))
        return result

    def remove_pending_result(self, result: Any) -> Any:  # noqa: ANN401 - as above
        """Wait for a result no longer."""
        if self.pending.remove(result):
            self.result_consumer.cancel_for(id_of(result.id))
        return result

    # --- sending ----------------------------------------------------------------------------------------------------

    def on_task_call(self, producer: object, task_id: str) -> None:  # noqa: ARG002 - Celery's signature
        """Note that the message of this id is sent next, in this thread."""
        self.announcer.begin(task_id)

    # --- groups and chords ------------------------------------------------------------------------------------------

    def set_chord_size(self, group_id: str, chord_size: int) -> None:
        """Set how many parts a chord has."""
        if self.groups.chords is not None:
            self.groups.chords.set_size(group_id, chord_size)

    def add_to_chord(self, group_id: str, result: object) -> None:
        """Add one more part, from a running header task."""
        if self.groups.chords is None:
            super().add_to_chord(group_id, result)
        else:
            self.groups.chords.add_part(group_id)

    def apply_chord(self, header_result_args: tuple[Any, ...], body: Any, **kwargs: object) -> None:  # noqa: ANN401 - a signature
        """Prepare a chord before its header is sent."""
        if self.groups.chords is None:
            super().apply_chord(header_result_args, body, **kwargs)
        else:
            self.groups.prepare_chord(header_result_args)

    def on_chord_part_return(self, request: Any, state: str, result: object, **_: object) -> None:  # noqa: ANN401 - Celery's Context
        """Count a header task that has ended."""
        if self.groups.chords is not None:
            self.groups.chords.count_part(request, state, result)

    def count_stored_part(self, request: Any) -> None:  # noqa: ANN401 - Celery's Context
        """Count a header task whose success is stored; its part refers to that."""
        request.resultstore_value_bytes = INLINE_MAX_BYTES + 1
        self.on_chord_part_return(request, states.SUCCESS, None)

    def _fail_chain(self, chain: object, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as Celery passes them
        fail_chain(self, list_unrun(chain), *args, **kwargs)

    def _call_task_errbacks(self, request: Any, exc: Exception, traceback: Any) -> None:  # noqa: ANN401 - Celery's Context
        # Celery calls some of them directly, and so past the tracer that resolves a task's arguments.
        owner = owner_of(request) or current_owner()
        signatures = map(self.app.signature, request.errbacks or ())
        request.errbacks = [self.resolver.resolve_signature(one, owner=owner) for one in signatures]
        super()._call_task_errbacks(request, exc, traceback)

    def _save_group(self, group_id: str, result: Any) -> Any:  # noqa: ANN401 - Celery's GroupResult
        return self.groups.save(group_id, result)

    def _restore_group(self, group_id: str) -> dict[str, Any] | None:
        return self.groups.restore(group_id)

    def _delete_group(self, group_id: str) -> None:
        self.groups.delete(group_id)
