"""Artifacts and Spills in messages: how the small values that travel are written and read; reading does no I/O."""

from functools import partial
from typing import Any, Final

import msgspec
from kombu.utils.json import register_type

from resultstore.model.artifact import Artifact
from resultstore.model.spill import Spill

MARKER: Final = "resultstore.artifact/1"
SPILL_MARKER: Final = "resultstore.spill/1"

_MARKERS: Final[dict[type, str]] = {Artifact: MARKER, Spill: SPILL_MARKER}
_KINDS: Final[dict[str, type[msgspec.Struct]]] = {MARKER: Artifact, SPILL_MARKER: Spill}


def register() -> None:
    """Teach kombu's JSON about them. Decoding makes no request: it runs in the consumer process too."""
    for marker, kind in _KINDS.items():
        register_type(kind, marker, msgspec.to_builtins, partial(msgspec.convert, type=kind))


def marked(value: Any) -> Any:  # noqa: ANN401 - of the shape that it is given
    """`value` with a plain dict for each Artifact and Spill: for serializers that can be taught no types."""
    marker = _MARKERS.get(type(value))
    if marker is not None:
        return {"__type__": marker, "__value__": msgspec.to_builtins(value)}
    if isinstance(value, dict):
        return {key: marked(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [marked(one) for one in value]
    return value


def unmarked(value: Any) -> Any:  # noqa: ANN401 - of the shape that it is given
    """`marked`, backwards."""
    if isinstance(value, dict):
        kind = _KINDS.get(str(value["__type__"])) if value.keys() == {"__type__", "__value__"} else None
        if kind is not None:
            return msgspec.convert(value["__value__"], kind)
        return {key: unmarked(one) for key, one in value.items()}
    return [unmarked(one) for one in value] if isinstance(value, list) else value


def is_reference(value: object) -> bool:
    """Whether this is a Spill, decoded or as `marked` writes it."""
    return isinstance(value, Spill) or (isinstance(value, dict) and value.get("__type__") == SPILL_MARKER)
