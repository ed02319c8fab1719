"""Message body: finds and replaces each argument of a task and of the signatures that travel with it."""

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

Swap = Callable[[object], object]
Body = tuple[Any, Mapping[str, object], Mapping[str, object]]

_PARTS: Final = ("task", "args", "kwargs", "options", "subtask_type")  # of a signature as it travels
_ITERATED: Final = frozenset({"xmap", "xstarmap", "chunks"})  # Celery reads their `it` before they are sent
_COMPOSED: Final = frozenset({"group", "chain", "chord"})
_FOLLOWING: Final = ("link", "link_error", "chord")


def swap_arguments(body: Body, swap: Swap, *, own: Swap | None = None) -> Body:
    """Return a copy of a message's body in which `swap` has replaced each argument.

    These are the task's own, and those of every signature that travels with it (callbacks, errbacks, chain, chord).

    Args:
        body: arguments, keyword arguments and the signatures, as protocol 2 has them.
        swap: returns what replaces an argument.
        own: the same for the task's own arguments, if it differs.
    """
    args, kwargs, following = body
    mine = own or swap
    values = [mine(_through(one, swap)) for one in args]
    named = {name: mine(_through(one, swap)) for name, one in kwargs.items()}
    return type(args)(values), named, {name: _through(one, swap) for name, one in following.items()}


def _through(value: object, swap: Swap) -> object:
    """Return a signature, or a list of them, with its arguments replaced; other values as they are."""
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
    """Return a keyword argument with its values replaced, except those that Celery itself reads."""
    if kind in _ITERATED and name == "it":
        return [swap(one) for one in cast("list[object]", value)]
    if kind == "chord" and name == "kwargs":
        return {key: _inside(one, swap) for key, one in cast("dict[str, object]", value or {}).items()}
    return _through(value, swap) if kind in _ITERATED | _COMPOSED else _inside(value, swap)


def _inside(value: object, swap: Swap) -> object:
    """Return the replaced argument; a signature stays one, because Celery still reads it."""
    through = _through(value, swap)
    return swap(value) if through is value else through


def _is_signature(value: object) -> bool:
    return isinstance(value, dict) and all(part in value for part in _PARTS)
