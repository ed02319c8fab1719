"""Spiller: replaces values that are too large for a message by references (claim check)."""

import warnings
from collections.abc import Callable, Container, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from celery import Celery, Task
from celery.utils.time import maybe_make_aware
from kombu.exceptions import EncodeError

from resultstore.backends.celery.capture.keeps import policy_of
from resultstore.backends.celery.capture.lazy_parts import LazyParts
from resultstore.backends.celery.capture.message_body import Body, swap_arguments
from resultstore.backends.celery.capture.observers import watches_end
from resultstore.backends.celery.capture.resolver import Resolver
from resultstore.backends.celery.capture.return_value import current_return, remember_value
from resultstore.backends.celery.codec.kombu_types import write_references
from resultstore.backends.celery.codec.serializers import (
    JSON,
    PICKLED,
    READABLE,
    media_type_of,
    serialize_if_larger,
    surely_small,
)
from resultstore.backends.celery.compat import get_actual_ignore_result
from resultstore.backends.celery.task_owner import current_owner
from resultstore.blobs.blobstore import Chunk
from resultstore.capture.spills import Spills
from resultstore.index.index import EarlyAnnouncer
from resultstore.model.headers import OWNER_HEADER
from resultstore.model.spill import Spill
from resultstore.store.attempt import Attempt

NOT_SPILLED: Final = (
    "values over {limit_bytes} bytes are sent whole in the serializer {serializer}: name it in accept_content to store "
    "them in the object store; a serializer that makes objects of any class, as pickle does, is never read from there"
)


class Spiller:
    """Stores the large arguments and return values of one app.

    Args:
        app: its backend stores them.
        produces: whether references are made. Received ones are resolved in any case.
    """

    def __init__(self, app: Celery, *, produces: bool) -> None:
        self._app = app
        self.produces = produces

    def spill_arguments(self, message: Any, options: Mapping[str, Any]) -> Any:  # noqa: ANN401 - Celery's task_message
        """Return `message` with a reference for each argument that is too large, in every signature that it carries.

        Args:
            message: of protocol 2.
            options: of its sender: `serializer`, `headers`.
        """
        serializer = options.get("serializer") or self._app.conf.task_serializer
        is_json, spills, body = serializer in {"json", JSON}, self._spills, message.body
        if is_json and (spills is None or _surely_small(body, spills.limit_bytes)):
            return message
        if spills is not None:
            swap = self._swap(spills, message.headers, options, serializer)
            body = swap_arguments(body, swap, own=swap if self._spills_to(message.headers["task"]) else self._resolve)
        # kombu's JSON writes references itself. A handler of `before_task_publish` may use another serializer.
        if is_json or media_type_of(serializer) in self._readable:
            body = tuple(write_references(part) for part in body)
        return message if body is message.body else message._replace(body=body)

    def spill_return(self, task: Task, attempt: Attempt, value: object) -> object:
        """Return what travels of a return value: a reference, stored as a part of `attempt`, or the value itself."""
        spills = self._spills
        if spills is None or not attempt.policy.spill or surely_small(value, spills.limit_bytes):
            return value
        request = task.request
        # Eager mode sends nothing. An ignored value is sent to callbacks at most, as one of their arguments.
        ignored = get_actual_ignore_result(task, request) and not request.chord
        if request.is_eager or ignored:
            return value
        backend = self._app.backend
        larger = self._serialize_if_larger(backend.prepare_value(value), spills.limit_bytes, backend.serializer)
        if larger is None:
            return value
        pieces, media_type = larger
        try:
            spill = spills.keep_value(pieces, attempt=attempt, media_type=media_type)
        except EncodeError:
            return value  # Celery reports the error when it encodes the value
        if isinstance(events := backend.store.index.events, EarlyAnnouncer) and not (request.chord or request.chain):
            events.announce_early(attempt.id, spill)
        # The next task gets the value by its message's serializer, not by the result's.
        differs = backend.serializer != self._app.conf.task_serializer
        if differs or backend.writer.publishes_legacy or watches_end(task):
            remember_value(request, spill, value)
        return spill

    def _swap(
        self, spills: Spills, headers: Mapping[str, Any], options: Mapping[str, Any], serializer: str
    ) -> Callable[[object], object]:
        until = max(_epoch_s(headers.get(name)) for name in ("eta", "expires"))
        owner = (options.get("headers") or {}).get(OWNER_HEADER) or current_owner()

        def spill(value: object) -> object:
            returned = current_return()
            if isinstance(value, LazyParts):
                return [spill(one) for one in value.references]
            if returned is not None and value is returned.value:
                value = returned.spill
            if isinstance(value, Spill):
                media_type = media_type_of(serializer)
                foreign = media_type not in {value.media_type, PICKLED}
                if not foreign and spills.outlives(value, until=until):
                    return value
                # Written by another serializer, or expired before it is used: send its value instead.
                is_here = returned is not None and returned.spill == value
                value = returned.value if is_here else self._resolve(value)  # type: ignore[union-attr]
            larger = self._serialize_if_larger(value, spills.limit_bytes, serializer)
            if larger is None:
                return value
            try:
                payload = b"".join(larger[0])
            except EncodeError:
                return value
            return spills.keep_argument(payload, media_type=larger[1], owner=owner, until=until)

        return spill

    def _serialize_if_larger(
        self, value: object, limit_bytes: int, serializer: str
    ) -> tuple[Iterator[Chunk], str] | None:
        """Do the same as `serialize_if_larger`; return None, with a warning, if its values may not be read back."""
        larger = serialize_if_larger(value, limit_bytes, serializer)
        if larger is None or larger[1] in self._readable:
            return larger
        if larger[1] != PICKLED:
            warnings.warn(NOT_SPILLED.format(serializer=serializer, limit_bytes=limit_bytes), UserWarning, stacklevel=2)
        return None

    def _resolve(self, value: object) -> object:
        resolved: object = self._app.backend.resolver.resolve(
            value.references if isinstance(value, LazyParts) else value
        )
        return resolved

    @property
    def _readable(self) -> Container[str]:
        resolver: Resolver | None = getattr(self._app.backend, "resolver", None)
        return READABLE if resolver is None else resolver.readable

    def _spills_to(self, name: str) -> bool:
        """Return whether a task takes references, as far as this process knows the task."""
        task = self._app._tasks.get(name)  # noqa: SLF001 - `app.tasks` would finalize the app
        return task is None or policy_of(task).spill

    @property
    def _spills(self) -> Spills | None:
        """What stores values; None if none are stored: by setting, without an object store, or with another backend."""
        spills: Spills | None = getattr(self._app.backend, "spills", None) if self.produces else None
        return spills if spills is not None and spills.is_available else None


def _surely_small(body: Body, limit_bytes: int) -> bool:
    """Return whether each argument is of a small type, and no signature travels with them."""
    args, kwargs, following = body
    fits = all(surely_small(one, limit_bytes) for one in (*args, *kwargs.values()))
    return fits and not any(following.values())


def _epoch_s(text: str | None) -> float:
    """Return an ISO time in epoch seconds; 0 for None."""
    return maybe_make_aware(datetime.fromisoformat(text)).timestamp() if text else 0.0
