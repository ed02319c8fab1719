"""Groups: the half of the backend that concerns groups and chords."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from celery.backends.base import BaseKeyValueStoreBackend
from celery.result import GroupResult, result_from_tuple
from celery.utils.functional import _regen

from resultstore.backends.celery.capture.resolver import Resolver
from resultstore.backends.celery.chord.attending import ChordTimer
from resultstore.backends.celery.chord.chords import ChordCounter
from resultstore.backends.celery.chord.failing import never_run
from resultstore.backends.celery.chord.outbox import ChordStatus
from resultstore.backends.celery.owners import inherited, owner_of
from resultstore.backends.celery.publish.workflow_notes import WorkflowNotes
from resultstore.index.index import Keys, ScriptRunner
from resultstore.model import layout
from resultstore.store import Store


class KeepsGroups(BaseKeyValueStoreBackend):
    """Saved groups under keys of their own, and the native chord where the index runs scripts."""

    store: Store
    resolver: Resolver
    expires: int | None

    @property
    def header_life_s(self) -> int:
        """How long a chord's header results and its saved group live, in seconds; 0 for ever."""
        return max(self.chord_expires, self.expires) if self.chord_expires and self.expires else 0

    def set_chord_size(self, group_id: str, chord_size: int) -> None:
        """Say how many parts a chord will have."""
        if self._chords is not None:
            self._chords.begin(group_id, chord_size)

    def add_to_chord(self, group_id: str, result: object) -> None:
        """One more part, added by a running header task."""
        if self._chords is None:
            super().add_to_chord(group_id, result)
        else:
            self._chords.add(group_id)

    def apply_chord(self, header_result_args: tuple[Any, ...], body: Any, **kwargs: object) -> None:  # noqa: ANN401 - a signature
        """Prepare a chord: a header with groups in it is saved, so that the body gets values of its shape."""
        if self._chords is None:
            super().apply_chord(header_result_args, body, **kwargs)
        elif not isinstance(header_result_args[1], _regen):
            header = self.app.GroupResult(*header_result_args)
            self._chords.renew(header.id, list(_part_ids(header)))
            if any(isinstance(one, GroupResult) for one in header.results):
                self._save_group(header.id, header)

    def on_chord_part_return(self, request: Any, state: str, result: object, **_: object) -> None:  # noqa: ANN401 - Celery's Context
        """Count a header task that has ended."""
        if self._chords is not None:
            self._chords.part_ended(request, state, result)

    def _fail_chain(self, chain: object, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as Celery passes them
        super()._fail_chain(never_run(chain), *args, **kwargs)

    def _call_task_errbacks(self, request: Any, exc: Exception, traceback: Any) -> None:  # noqa: ANN401 - Celery's Context
        # Celery calls some of them right here, and so past the tracer that resolves a task's arguments.
        owner = owner_of(request) or inherited()
        signatures = map(self.app.signature, request.errbacks or ())
        request.errbacks = [self.resolver.callable_here(one, owner=owner) for one in signatures]
        super()._call_task_errbacks(request, exc, traceback)

    def _save_group(self, group_id: str, result: Any) -> Any:  # noqa: ANN401 - Celery's GroupResult
        kept = self.encode({"result": result.as_tuple()})
        content = kept if isinstance(kept, bytes) else kept.encode()
        self._keys.keep(layout.group_key(group_id), content, ttl_s=self.header_life_s or None)
        return result

    def _restore_group(self, group_id: str) -> dict[str, Any] | None:
        kept = self._keys.read(layout.group_key(group_id))
        if kept is None:
            return None
        meta: dict[str, Any] = self.decode(kept)
        meta["result"] = result_from_tuple(meta["result"], self.app)
        return meta

    def _delete_group(self, group_id: str) -> None:
        self._keys.drop(layout.group_key(group_id))

    def attend_chords(self) -> ChordTimer | None:
        """Let each worker of the app send the bodies whose finisher did not come back."""
        chords = self._chords
        return None if chords is None else ChordTimer(self.app, chords.publish_due, lease_s=chords.outbox.lease_s)

    def note_workflows(self) -> WorkflowNotes:
        """Let the ids of a workflow be found by its root."""
        return WorkflowNotes(self.store.index, life_s=self.expires or 0)

    def forget_group(self, group_id: str) -> None:
        """Delete a group, and what is left of a chord."""
        self._delete_group(group_id)
        if self._chords is not None:
            self._chords.forget(group_id)

    def dispatch_chord(self, group_id: str) -> ChordStatus:
        """Send the body of a chord whose parts are all in, also one that another worker is about to send."""
        return ChordStatus.GONE if self._chords is None else self._chords.dispatch(group_id, force=True)

    @cached_property
    def _chords(self) -> ChordCounter | None:
        keys = self.store.index.keys
        options = self.app.conf.get("result_backend_transport_options") or {}
        ordered = bool(options.get("result_chord_ordered", True))
        lease_s = self.app.conf.get("resultstore_chord_lease_s")
        lease_s = None if lease_s is None else max(1, int(lease_s))
        return ChordCounter(self, keys, ordered=ordered, lease_s=lease_s) if isinstance(keys, ScriptRunner) else None

    @property
    def _keys(self) -> Keys:
        return self.store.index.keys


def _part_ids(header: GroupResult) -> Iterator[str]:
    for one in header.results:
        if isinstance(one, GroupResult):
            yield from _part_ids(one)
        else:
            yield one.id
