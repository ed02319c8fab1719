"""ChordCounter: counts the parts of a chord, and sends its body when the last one is in."""

import math
from collections.abc import Sequence
from functools import partial
from importlib import resources
from typing import Any, Final, cast
from uuid import uuid4

from celery import Celery, states
from celery.canvas import maybe_signature
from celery.exceptions import ChordError
from celery.result import GroupResult, allow_join_result
from kombu.exceptions import OperationalError

from resultstore.backends.celery.chord.body_sender import acting_as, send, senders_of
from resultstore.backends.celery.chord.chord_outbox import ChordOutbox, ChordStatus, encode_entry
from resultstore.backends.celery.publish.dispatch_once import STARTED
from resultstore.index.index import ScriptRunner
from resultstore.model import layout
from resultstore.telemetry.logs import Log
from resultstore.telemetry.tolerance import FailureTolerance

_log = Log(__name__)

INLINE_MAX_BYTES: Final = 1_024  # a part of up to this many bytes travels in the list; of a larger one only its id
_CLAIM_S: Final = 30
_DONE_S: Final = 300  # how long late copies of a header task are recognised

_PART: Final = resources.files(__package__).joinpath("chord_part.lua").read_text(encoding="utf-8")
_RENEW: Final = """
redis.call('DEL', unpack(KEYS))
if ARGV[2] == '0' then redis.call('SET', KEYS[1], ARGV[1]) else redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2]) end
return {1}
"""
_ADD: Final = "return {redis.call('INCR', KEYS[1])}"
# Reapplying a frozen chord reuses its group id and is a new run: the last run's end is no longer known.
_BEGIN: Final = """
redis.call('DEL', KEYS[2], KEYS[3])
if ARGV[2] == '0' then redis.call('SET', KEYS[1], ARGV[1]) else redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2]) end
return {1}
"""
_ORDERED: Final = "return redis.call('ZRANGE', KEYS[1], 0, -1)"
_UNORDERED: Final = "return redis.call('LRANGE', KEYS[1], 0, -1)"
# This token still holds the claim, or it expired and no other worker took it while the chord exists.
_EXTEND: Final = """
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] or (not holder and redis.call('EXISTS', KEYS[2]) == 1) then
  redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
  return {1}
end
return {0}
"""
_END: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', unpack(KEYS, 2))
  redis.call('SET', KEYS[1], 'done', 'EX', ARGV[2])
  return {1}
end
return {redis.call('GET', KEYS[1]) == 'done' and 1 or 0}
"""
_COUNTED: Final = 1
_LIST_FIRST: Final = 2


class ChordCounter:
    """The native chord.

    Keys have Celery's suffixes and parts Celery's form, `[1, task id, state, value]`, except that a part without a
    value refers to the task's own result: large values do not pass through a list in Redis.

    The script that counts the last part also writes the body into the outbox. If the finisher is killed before the
    broker has the body, its claim ends with the lease (30 s). Then any worker's `publish_due` sends the body, or the
    next copy of any header task. A body that the broker had received before the kill is sent twice.

    Args:
        backend: the backend that stores the header tasks' results.
        scripts: runs the steps, each atomic.
        ordered: whether the body gets the values in the header's order, rather than in the order of their ends.
        lease_s: the lease of a finisher; None: as long as joining and publishing may take by the app's
            settings, and 30 s at least.
    """

    def __init__(self, backend: Any, scripts: ScriptRunner, *, ordered: bool, lease_s: int | None = None) -> None:  # noqa: ANN401 - Celery's backends have no types
        self._backend = backend
        self._app: Celery = backend.app
        self._scripts = scripts
        self._ordered = ordered
        self._lease_s = lease_s
        self.outbox = ChordOutbox(scripts, senders=partial(senders_of, self._app), lease_s=self._claim_s())

    def set_size(self, group_id: str, size: int) -> None:
        """Set how many parts a chord has."""
        self._run(_BEGIN, group_id, ".s .c .b", size, self._life_s)

    def reset(self, group_id: str, task_ids: Sequence[str] = ()) -> None:
        """Forget an earlier run of a frozen chord, which has the same group id; set the ids of the parts.

        Call it before the header is sent: the first part may arrive before `set_size`, which comes with the last task.
        """
        self._run(_RENEW, group_id, f".h .c .j .t .s .d .b {STARTED}", " ".join(task_ids), self._life_s)

    def forget(self, group_id: str) -> None:
        """Forget a chord, so that its body is not sent."""
        self._run("return {redis.call('DEL', unpack(KEYS))}", group_id, ".h .c .j .t .s .d .b")
        self.outbox.remove(group_id)

    def add_part(self, group_id: str) -> None:
        """Add one more part, from a running header task."""
        self._run(_ADD, group_id, ".t")

    def count_part(self, request: Any, state: str, result: object) -> None:  # noqa: ANN401 - Celery's Context
        """Count a header task; if it is the last one, send the body."""
        group_id, token = request.group, uuid4().hex
        if not group_id or not request.id:
            return
        part = self._part(request, state, result)
        counted = self._count(request, part, token, body="")
        if counted == _LIST_FIRST:
            self.outbox.add(group_id)
            counted = self._count(request, part, token, body=encode_entry(request))
        if counted == _COUNTED:
            self._finish(group_id, request.chord, token)

    def publish_due(self) -> None:
        """Send the bodies whose finisher did not end within its lease; one that fails does not stop the others."""
        tolerance = FailureTolerance(_log, "chord_not_finished")
        for group_id in self.outbox.take_due():
            with tolerance.each(group=group_id):
                self.dispatch(group_id)

    def dispatch(self, group_id: str, *, force: bool = False) -> ChordStatus:
        """Send the body of a chord whose parts are all in; with `force`, even while another worker holds it."""
        token = uuid4().hex
        status, entry = self.outbox.claim(group_id, token, claim_s=self.outbox.lease_s, force=force)
        if entry is not None:
            _log.warning("chord_dispatched_again", group=group_id)
            with acting_as(self._app, entry.sender):
                self._finish(group_id, entry.body, token)
        elif status is ChordStatus.GONE:
            self.outbox.remove(group_id)
        return status

    def _finish(self, group_id: str, signature: Any, token: str) -> None:  # noqa: ANN401 - a signature, or its dict
        body = maybe_signature(signature, app=self._app)
        try:
            values = self._values(group_id)
        except Exception as error:  # noqa: BLE001 - any error is the body's failure, and its errbacks'
            _log.warning("chord_failed", group=group_id, error=repr(error))
            self._backend.chord_error_from_stack(body, _chord_error("Join error", error))
            # So that neither a late copy of a header task nor the outbox fails the chord again.
            self._scripts.run_script("return {redis.call('DEL', unpack(KEYS))}", keys=_keys(group_id, ".s .b"), args=())
            self.outbox.remove(group_id)
            return
        claim_s = self._claim_s(publishing=True)
        if self._run(_EXTEND, group_id, ".c .s", token, claim_s):
            self._publish(group_id, body, values, token)
        else:
            _log.warning("chord_taken_over", group=group_id)

    def _publish(self, group_id: str, body: Any, values: list[object], token: str) -> None:  # noqa: ANN401 - a signature
        try:
            send(self._app, body, values, group_id=group_id, token=token)
        except OperationalError as error:
            # The broker is unavailable, for errbacks too: the outbox keeps the body until it is back.
            _log.warning("chord_body_kept", group=group_id, error=repr(error))
            return
        except Exception as error:  # noqa: BLE001 - the body cannot be sent: that is its failure
            _log.warning("chord_body_not_sent", group=group_id, error=repr(error))
            self._backend.chord_error_from_stack(body, _chord_error("Callback error", error))
        self._run(_END, group_id, ".c .j .t .s .d .b .h", token, _DONE_S)
        self.outbox.remove(group_id)

    def _count(self, request: Any, part: str | bytes, token: str, *, body: str) -> int:  # noqa: ANN401 - Celery's Context
        index = "+inf" if request.group_index is None else request.group_index
        score = index if self._ordered else ""
        lives_s = (self._life_s, self._backend.groups.header_life_s, self._claim_s())
        args = (f"{request.id}:{index}", part, score, *lives_s, token, body)
        keys = _keys(request.group, ".j .t .s .d  .c .b")
        return cast("int", self._scripts.run_script(_PART, keys=keys, args=args)[0])

    def _part(self, request: Any, state: str, result: object) -> str | bytes:  # noqa: ANN401 - Celery's Context
        # What was just stored under the task's id need not be stored twice; a task that ignores its result has none.
        stored_bytes = getattr(request, "resultstore_value_bytes", None)
        if stored_bytes is not None and stored_bytes > INLINE_MAX_BYTES:
            reference: str | bytes = self._backend.encode([1, request.id, state])
            return reference
        whole: str | bytes = self._backend.encode([1, request.id, state, self._backend.encode_result(result, state)])
        return whole

    def _values(self, group_id: str) -> list[object]:
        header = self._backend.restore_group(group_id, cache=False)
        if isinstance(header, GroupResult):
            # Saved because parts of it are groups: joined, so that the body gets values of the same shape.
            header.on_ready()
            with allow_join_result():
                joined: list[object] = header.join_native(
                    timeout=self._app.conf.result_chord_join_timeout, propagate=True
                )
            return joined
        script = _ORDERED if self._ordered else _UNORDERED
        parts = self._scripts.run_script(script, keys=_keys(group_id, ".j"), args=())
        return self._part_values([self._backend.decode(part) for part in parts])

    def _part_values(self, parts: Sequence[Any]) -> list[object]:
        for part in parts:
            if part[2] in states.PROPAGATE_STATES:
                self._raise_for(part)
        referred = [part[1] for part in parts if len(part) == 3]  # noqa: PLR2004 - version, id, state and no value
        outcomes = self._backend.result_decoder.fetch_outcomes(referred) if referred else []
        stored = dict(zip(referred, outcomes, strict=True))
        return [part[3] if len(part) > 3 else stored[part[1]] for part in parts]  # noqa: PLR2004 - the same

    def _raise_for(self, part: Sequence[Any]) -> None:
        _, task_id, _, *value = part
        decoder = self._backend.result_decoder
        error = self._backend.exception_to_python(value[0]) if value else decoder.fetch_outcomes([task_id])[0]
        raise _with_cause(ChordError(f"Dependency {task_id} raised {error!r}"), error)

    def _run(self, script: str, group_id: str, parts: str, *args: str | bytes | float) -> bool:
        return bool(self._scripts.run_script(script, keys=_keys(group_id, parts), args=args)[0])

    @property
    def _life_s(self) -> int:
        return int(self._backend.chord_expires or 0)

    def _claim_s(self, *, publishing: bool = False) -> int:
        if self._lease_s is not None:
            return self._lease_s
        conf = self._app.conf
        join_s = float(conf.result_chord_join_timeout or 0)
        connect_s = float(conf.broker_connection_timeout or 0)
        policy = conf.task_publish_retry_policy or {}
        tries = 1 + int(policy.get("max_retries") or 0)
        pauses_s = tries * float(policy.get("interval_max") or 1)
        return max(_CLAIM_S, math.ceil(tries * connect_s + pauses_s if publishing else 2 * join_s))


def _keys(group_id: str, parts: str) -> list[str]:
    """Return the chord's keys for Celery's suffixes, separated by one space; an empty suffix is the group itself."""
    return [layout.group_key(group_id, part) for part in parts.split(" ")]


def _chord_error(what: str, error: Exception) -> ChordError:
    return error if isinstance(error, ChordError) else _with_cause(ChordError(f"{what}: {error!r}"), error)


def _with_cause(chord_error: ChordError, cause: object) -> ChordError:
    chord_error.__cause__ = cause if isinstance(cause, BaseException) else None
    return chord_error
