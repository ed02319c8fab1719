"""Resolving: gives whoever uses a reference the value that it stands for."""

from collections.abc import Callable, Container, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, cast

from celery.canvas import Signature

from resultstore.backends.celery.capture.lazy_parts import LazyParts
from resultstore.backends.celery.codec.json_reader import read_pieces
from resultstore.backends.celery.codec.kombu_types import is_spill, unmarked
from resultstore.backends.celery.codec.serializers import READABLE, read
from resultstore.capture.spills import Spills
from resultstore.model.errors import ResultStoreError
from resultstore.model.spill import Spill
from resultstore.telemetry.logs import Log

_log = Log(__name__)

PLAIN: Final = frozenset({bool, float, int, str, type(None)})  # neither references nor anything that holds some
_MAY_HOLD: Final = frozenset({Spill, list, tuple})
_DEEPEST: Final = 16  # lists in lists: groups in groups
_AT_ONCE: Final = 4  # values that are fetched side by side
_MODERATE_BYTES: Final = 8 << 20  # larger ones are fetched one by one: each keeps all cores busy, and memory


class Resolver:
    """Reads the values of one store's references.

    Args:
        spills: fetches and checks them.
        readable: the content types that a value may be read in.
    """

    def __init__(self, spills: Spills, *, readable: Container[str] = READABLE) -> None:
        self._spills = spills
        self.readable = readable

    def resolved(
        self, value: object, *, owner: str | None = None, cached: bool = True, deepest: int = _DEEPEST
    ) -> object:
        """`value` with what its references stand for: itself one, or those in its lists, as a chord's body gets them.

        Dicts are left alone: a reference in one belongs to a signature that will be sent on.

        Args:
            value: as it was decoded.
            owner: the running task's; None outside a task.
            cached: False to fetch anew and remember nothing.
            deepest: how far to go down.

        Raises what `Spills.payload` raises.
        """
        kind = type(value)
        if isinstance(value, Spill):
            return self.resolved(self.opened(value, owner=owner, cached=cached), owner=owner, cached=cached)
        if not deepest or kind not in _MAY_HOLD or not any(type(one) in _MAY_HOLD for one in value):  # type: ignore[attr-defined]
            return value
        parts = _each(
            partial(self.resolved, owner=owner, cached=cached, deepest=deepest - 1), cast("list[object]", value)
        )
        return tuple(parts) if kind is tuple else parts

    def bound(
        self, args: Sequence[object], kwargs: Mapping[str, object], *, lazy: Mapping[str, int], owner: str | None
    ) -> tuple[list[object], dict[str, object]]:
        """A task's arguments with what their references stand for.

        Args:
            args: as they were decoded.
            kwargs: the same.
            lazy: name and position of each parameter that is annotated LazyParts.
            owner: the running task's; None outside a task.
        """
        if all(type(one) in PLAIN for one in (*args, *kwargs.values())):
            return list(args), dict(kwargs)

        def value_of(value: object, *, lazily: bool) -> object:
            return self._parts(value, owner) if lazily else self.resolved(value, owner=owner)

        return (
            [value_of(one, lazily=at in lazy.values()) for at, one in enumerate(unmarked(list(args)))],
            {name: value_of(one, lazily=name in lazy) for name, one in unmarked(dict(kwargs)).items()},
        )

    def callable_here(self, signature: Signature, *, owner: str) -> Signature:
        """`signature` with what the references among its arguments stand for, to be called like a function.

        As it is where that cannot be had: whoever runs it hears of that, and what is done beside it goes on.
        """
        if not any(map(is_spill, (*signature.args, *signature.kwargs.values()))):
            return signature
        try:
            args, kwargs = self.bound(signature.args, signature.kwargs, lazy={}, owner=owner)
        except ResultStoreError as error:
            _log.warning("arguments_not_read", task=signature.task, error=repr(error))
            return signature
        return signature.replace(args=tuple(args), kwargs=kwargs)

    def opened(self, value: object, *, owner: str | None = None, cached: bool = True) -> object:
        """What one reference stands for, with the references that may stand in it; anything else as it is."""
        if not isinstance(value, Spill):
            return value
        # Without frames nothing tells of damage before the end: no reader is to meet it first.
        if cached or not value.encoding:
            payload = self._spills.payload(value, owner=owner, cached=cached)
            return read(payload, value.media_type, readable=self.readable)
        return read_pieces(self._spills.pieces(value, owner=owner), value.media_type, readable=self.readable)

    def _parts(self, value: object, owner: str | None) -> object:
        opened = self.opened(value, owner=owner, cached=False)
        if not isinstance(opened, list | tuple):
            return self.resolved(opened, owner=owner)
        return LazyParts(opened, partial(self.resolved, owner=owner, cached=False))


def _each(resolved: Callable[[object], object], parts: Sequence[object]) -> list[object]:
    """All parts, of which several references are fetched side by side: most of the time each waits for the store."""
    spills = [one for one in parts if isinstance(one, Spill)]
    repeats = len({one.key for one in spills}) < len(spills)  # one by one, the second is remembered
    if len(spills) < 2 or repeats or max(one.size_bytes for one in spills) > _MODERATE_BYTES:  # noqa: PLR2004 - a pair
        return list(map(resolved, parts))
    with ThreadPoolExecutor(min(_AT_ONCE, len(spills)), thread_name_prefix="spills") as pool:
        return list(pool.map(resolved, parts))
