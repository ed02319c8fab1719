"""Arguments: finds, in the body of a message, each value that a task will be called with."""

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

Swap = Callable[[object], object]
Body = tuple[Any, Mapping[str, object], Mapping[str, object]]

_PARTS: Final = ("task", "args", "kwargs", "options", "subtask_type")  # of a signature as it travels
_ITERATED: Final = frozenset({"xmap", "xstarmap", "chunks"})  # these read their `it` before they are sent
_COMPOSED: Final = frozenset({"group", "chain", "chord"})
_FOLLOWING: Final = ("link", "link_error", "chord")


def swapped(body: Body, swap: Swap, *, own: Swap | None = None) -> Body:
    """A copy of a message's body with `swap` called on each argument: the task's own, and those of every signature
    that travels with it (callbacks, errbacks, chain, chord), however deep.

    Args:
        body: arguments, keyword arguments and the signatures, as protocol 2 has them.
        swap: gives what shall stand in an argument's place.
        own: the same for the task's own arguments, where that is another.
    """
    args, kwargs, following = body
    mine = own or swap
    values = [mine(_through(one, swap)) for one in args]
    named = {name: mine(_through(one, swap)) for name, one in kwargs.items()}
    return type(args)(values), named, {name: _through(one, swap) for name, one in following.items()}


def _through(value: object, swap: Swap) -> object:
    """`value`, where it is a signature or a list of them, with its arguments swapped."""
    if _is_signature(value):
        return _signature(cast("Mapping[str, Any]", value), swap)
    if isinstance(value, list | tuple) and value and all(_is_signature(one) for one in value):
        return [_signature(one, swap) for one in value]
    return value


def _signature(one: Mapping[str, Any], swap: Swap) -> dict[str, Any]:
    kind, kwargs, options = one["subtask_type"], one["kwargs"] or {}, one["options"] or {}
    return {
        **one,
        "args": [_inside(value, swap) for value in one["args"] or ()],
        "kwargs": {name: _named(kind, name, value, swap) for name, value in kwargs.items()},
        "options": {name: _through(value, swap) if name in _FOLLOWING else value for name, value in options.items()},
    }


def _named(kind: str | None, name: str, value: object, swap: Swap) -> object:
    """A keyword argument of a signature. What Celery itself reads of its own kinds of signature stays as it is."""
    if kind in _ITERATED and name == "it":
        return [swap(one) for one in cast("list[object]", value)]
    if kind == "chord" and name == "kwargs":
        return {key: _inside(one, swap) for key, one in cast("dict[str, object]", value or {}).items()}
    return _through(value, swap) if kind in _ITERATED | _COMPOSED else _inside(value, swap)


def _inside(value: object, swap: Swap) -> object:
    """An argument of a signature: swapped, unless it is a signature, which Celery still has to read as one."""
    through = _through(value, swap)
    return swap(value) if through is value else through


def _is_signature(value: object) -> bool:
    return isinstance(value, dict) and all(part in value for part in _PARTS)
