"""Resolver: replaces references by the values that they refer to."""

from collections.abc import Callable, Container, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, cast

from celery.canvas import Signature

from resultstore.backends.celery.capture.lazy_parts import LazyParts
from resultstore.backends.celery.codec.json_reader import deserialize_pieces
from resultstore.backends.celery.codec.kombu_types import is_spill, read_references
from resultstore.backends.celery.codec.serializers import READABLE, deserialize
from resultstore.capture.spills import Spills
from resultstore.model.errors import ResultStoreError
from resultstore.model.spill import Spill
from resultstore.telemetry.logs import Log

_log = Log(__name__)

PLAIN: Final = frozenset({bool, float, int, str, type(None)})  # neither references nor anything that holds some
_MAY_HOLD: Final = frozenset({Spill, list, tuple})
_DEEPEST: Final = 16  # lists in lists: groups in groups
_AT_ONCE: Final = 4  # values that are fetched at the same time
_MODERATE_BYTES: Final = 8 << 20  # larger ones are fetched one by one: each uses all cores and much memory


class Resolver:
    """Reads the values of one store's references.

    Args:
        spills: fetches and checks them.
        readable: the content types that a value may be read in.
    """

    def __init__(self, spills: Spills, *, readable: Container[str] = READABLE) -> None:
        self._spills = spills
        self.readable = readable

    def resolve(
        self, value: object, *, owner: str | None = None, cached: bool = True, deepest: int = _DEEPEST
    ) -> object:
        """Return the value of a reference, or a list with the values of its references, as a chord's body gets them.

        Dicts are not changed: a reference in a dict belongs to a signature that will be sent.

        Args:
            value: as it was decoded.
            owner: the running task's; None outside a task.
            cached: False fetches anew and remembers nothing.
            deepest: how many nested lists to enter.

        Raises what `Spills.payload` raises.
        """
        kind = type(value)
        if isinstance(value, Spill):
            return self.resolve(self.fetch(value, owner=owner, cached=cached), owner=owner, cached=cached)
        if not deepest or kind not in _MAY_HOLD or not any(type(one) in _MAY_HOLD for one in value):  # type: ignore[attr-defined]
            return value
        parts = _each(
            partial(self.resolve, owner=owner, cached=cached, deepest=deepest - 1), cast("list[object]", value)
        )
        return tuple(parts) if kind is tuple else parts

    def resolve_arguments(
        self, args: Sequence[object], kwargs: Mapping[str, object], *, lazy: Mapping[str, int], owner: str | None
    ) -> tuple[list[object], dict[str, object]]:
        """Return a task's arguments with the values of their references.

        Args:
            args: as they were decoded.
            kwargs: the same.
            lazy: name and position of each parameter that is annotated LazyParts.
            owner: the running task's; None outside a task.
        """
        if all(type(one) in PLAIN for one in (*args, *kwargs.values())):
            return list(args), dict(kwargs)

        def value_of(value: object, *, lazily: bool) -> object:
            return self._parts(value, owner) if lazily else self.resolve(value, owner=owner)

        return (
            [value_of(one, lazily=at in lazy.values()) for at, one in enumerate(read_references(list(args)))],
            {name: value_of(one, lazily=name in lazy) for name, one in read_references(dict(kwargs)).items()},
        )

    def resolve_signature(self, signature: Signature, *, owner: str) -> Signature:
        """Return `signature` with the values of its references, to be called like a function.

        If they cannot be read, return it unchanged: its own call reports the error, and other errbacks still run.
        """
        if not any(map(is_spill, (*signature.args, *signature.kwargs.values()))):
            return signature
        try:
            args, kwargs = self.resolve_arguments(signature.args, signature.kwargs, lazy={}, owner=owner)
        except ResultStoreError as error:
            _log.warning("arguments_not_read", task=signature.task, error=repr(error))
            return signature
        return signature.replace(args=tuple(args), kwargs=kwargs)

    def fetch(self, value: object, *, owner: str | None = None, cached: bool = True) -> object:
        """Return the value of a reference, in which nested references stay; other values as they are."""
        if not isinstance(value, Spill):
            return value
        # Without frames damage is detected at the end only: the value must be read whole first.
        if cached or not value.encoding:
            payload = self._spills.payload(value, owner=owner, cached=cached)
            return deserialize(payload, value.media_type, readable=self.readable)
        return deserialize_pieces(self._spills.pieces(value, owner=owner), value.media_type, readable=self.readable)

    def _parts(self, value: object, owner: str | None) -> object:
        opened = self.fetch(value, owner=owner, cached=False)
        if not isinstance(opened, list | tuple):
            return self.resolve(opened, owner=owner)
        return LazyParts(opened, partial(self.resolve, owner=owner, cached=False))


def _each(resolved: Callable[[object], object], parts: Sequence[object]) -> list[object]:
    """Resolve all parts, several at the same time: most of the time each waits for the store."""
    spills = [one for one in parts if isinstance(one, Spill)]
    repeats = len({one.key for one in spills}) < len(spills)  # one by one, the second is remembered
    if len(spills) < 2 or repeats or max(one.size_bytes for one in spills) > _MODERATE_BYTES:  # noqa: PLR2004 - a pair
        return list(map(resolved, parts))
    with ThreadPoolExecutor(min(_AT_ONCE, len(spills)), thread_name_prefix="spills") as pool:
        return list(pool.map(resolved, parts))
