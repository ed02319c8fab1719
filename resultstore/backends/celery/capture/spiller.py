"""Spilling: replaces what is too big for a message by a reference."""

import warnings
from collections.abc import Callable, Container, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from celery import Celery, Task
from celery.app.task import get_actual_ignore_result
from celery.utils.time import maybe_make_aware
from kombu.exceptions import EncodeError

from resultstore.backends.celery.capture.keeps import keeping_of
from resultstore.backends.celery.capture.lazy_parts import LazyParts
from resultstore.backends.celery.capture.message_body import Body, swapped
from resultstore.backends.celery.capture.observers import watches_end
from resultstore.backends.celery.capture.resolver import Resolver
from resultstore.backends.celery.capture.return_value import remember, returned_here
from resultstore.backends.celery.codec.kombu_types import marked
from resultstore.backends.celery.codec.serializers import (
    JSON,
    PICKLED,
    READABLE,
    fits_at_sight,
    media_type_of,
    outgrown,
)
from resultstore.backends.celery.owners import inherited
from resultstore.blobs.blobstore import Chunk
from resultstore.capture.spills import Spills
from resultstore.index.index import EarlyAnnouncer
from resultstore.model.headers import OWNER_HEADER
from resultstore.model.spill import Spill
from resultstore.store.attempt import Attempt

NOT_SPILLED: Final = (
    "values over {limit_bytes} bytes travel whole in the serializer {serializer}: name it in accept_content, and they "
    "are stored in the object store; one that makes objects of any class, as pickle does, is never read from there"
)


class Spiller:
    """What one app does with values that are too big to travel.

    Args:
        app: its backend keeps them.
        produces: whether references are made. Those that come in are resolved in any case.
    """

    def __init__(self, app: Celery, *, produces: bool) -> None:
        self._app = app
        self.produces = produces

    def lightened(self, message: Any, options: Mapping[str, Any]) -> Any:  # noqa: ANN401 - Celery's task_message
        """`message` with a reference for each argument that is too big, in every signature that it carries.

        Args:
            message: as protocol 2 has made it.
            options: what its sender said beside: `serializer`, `headers`.
        """
        serializer = options.get("serializer") or self._app.conf.task_serializer
        is_json, spills, body = serializer in {"json", JSON}, self._spills, message.body
        if is_json and (spills is None or _surely_light(body, spills.limit_bytes)):
            return message
        if spills is not None:
            swap = self._swap(spills, message.headers, options, serializer)
            body = swapped(body, swap, own=swap if self._spills_to(message.headers["task"]) else self._whole)
        # kombu's JSON knows references by itself. A handler of `before_task_publish` may use another one.
        if is_json or media_type_of(serializer) in self._readable:
            body = tuple(marked(part) for part in body)
        return message if body is message.body else message._replace(body=body)

    def returned(self, task: Task, attempt: Attempt, value: object) -> object:
        """What travels in place of what `task` returned: a reference, stored as a part of `attempt`, or the value."""
        spills = self._spills
        if spills is None or not attempt.keeping.spill or fits_at_sight(value, spills.limit_bytes):
            return value
        request = task.request
        # Eager mode sends nothing. An ignored value goes to callbacks at most, as one of their arguments.
        ignored = get_actual_ignore_result(task, request) and not request.chord
        if request.is_eager or ignored:
            return value
        backend = self._app.backend
        outgrew = self._outgrown(backend.prepare_value(value), spills.limit_bytes, backend.serializer)
        if outgrew is None:
            return value
        pieces, media_type = outgrew
        try:
            spill = spills.keep_value(pieces, attempt=attempt, media_type=media_type)
        except EncodeError:
            return value  # Celery says so where it encodes it itself
        if isinstance(events := backend.store.index.events, EarlyAnnouncer) and not (request.chord or request.chain):
            events.announce_early(attempt.id, spill)
        # Its next task gets what its own message's serializer makes of the value, not what the result's does.
        differs = backend.serializer != self._app.conf.task_serializer
        if differs or backend.writer.publishes_legacy or watches_end(task):
            remember(request, spill, value)
        return spill

    def _swap(
        self, spills: Spills, headers: Mapping[str, Any], options: Mapping[str, Any], serializer: str
    ) -> Callable[[object], object]:
        until = max(_moment(headers.get(name)) for name in ("eta", "expires"))
        owner = (options.get("headers") or {}).get(OWNER_HEADER) or inherited()

        def light(value: object) -> object:
            returned = returned_here()
            if isinstance(value, LazyParts):
                return [light(one) for one in value.references]
            if returned is not None and value is returned.value:
                value = returned.spill
            if isinstance(value, Spill):
                media_type = media_type_of(serializer)
                foreign = media_type not in {value.media_type, PICKLED}
                if not foreign and spills.outlives(value, until=until):
                    return value
                # Written by another serializer, or gone before it is used: as if its value were sent.
                is_here = returned is not None and returned.spill == value
                value = returned.value if is_here else self._whole(value)  # type: ignore[union-attr]
            outgrew = self._outgrown(value, spills.limit_bytes, serializer)
            if outgrew is None:
                return value
            try:
                payload = b"".join(outgrew[0])
            except EncodeError:
                return value
            return spills.keep_argument(payload, media_type=outgrew[1], owner=owner, until=until)

        return light

    def _outgrown(self, value: object, limit_bytes: int, serializer: str) -> tuple[Iterator[Chunk], str] | None:
        """As `outgrown`; None with a warning for a serializer whose values may not be read back."""
        outgrew = outgrown(value, limit_bytes, serializer)
        if outgrew is None or outgrew[1] in self._readable:
            return outgrew
        if outgrew[1] != PICKLED:
            warnings.warn(NOT_SPILLED.format(serializer=serializer, limit_bytes=limit_bytes), UserWarning, stacklevel=2)
        return None

    def _whole(self, value: object) -> object:
        resolved: object = self._app.backend.resolver.resolved(
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
        return task is None or keeping_of(task).spill

    @property
    def _spills(self) -> Spills | None:
        """Where values are kept; None where none are: by setting, without an object store, or with another backend."""
        spills: Spills | None = getattr(self._app.backend, "spills", None) if self.produces else None
        return spills if spills is not None and spills.is_available else None


def _surely_light(body: Body, limit_bytes: int) -> bool:
    """Whether one look at each argument tells that none is too big, and no signature travels with them."""
    args, kwargs, following = body
    fits = all(fits_at_sight(one, limit_bytes) for one in (*args, *kwargs.values()))
    return fits and not any(following.values())


def _moment(text: str | None) -> float:
    """An ISO time in epoch seconds; 0 for none."""
    return maybe_make_aware(datetime.fromisoformat(text)).timestamp() if text else 0.0
