"""Artifacts and Spills in Celery's messages: taught to kombu's JSON, and written into other serializers' values."""

from functools import partial
from typing import Any

import msgspec
from kombu.utils.json import register_type

from resultstore.model import markers
from resultstore.model.spill import Spill
from resultstore.store.numpy_scalars import NumpyScalar, plain_scalar


def register() -> None:
    """Teach kombu's JSON about them, and about numpy's scalars, which it writes as plain values.

    Decoding makes no request: it runs in the consumer process too.
    """
    register_type(NumpyScalar, None, plain_scalar)
    for marker, kind in markers.KINDS.items():
        register_type(kind, marker, msgspec.to_builtins, partial(msgspec.convert, type=kind))


def write_references(value: Any) -> Any:  # noqa: ANN401 - of the shape that it is given
    """Return a plain copy of `value` with an envelope for each Artifact and Spill: for other serializers than JSON."""
    return markers.write_envelope(value) if markers.is_reference(value) else markers.copy_items(value, write_references)


def read_references(value: Any) -> Any:  # noqa: ANN401 - of the shape that it is given
    """Return what `write_references` was given."""
    if markers.is_envelope(value):
        return markers.read_envelope(value)
    return value if isinstance(value, tuple) else markers.copy_items(value, read_references)


def is_spill(value: object) -> bool:
    """Return whether this is a Spill, decoded or as `write_references` writes it."""
    return isinstance(value, Spill) or (isinstance(value, dict) and value.get(markers.TYPE_KEY) == markers.SPILL_MARKER)
