"""Markers: the JSON envelope of Artifacts and Spills in messages and values, written and read without I/O."""

from collections.abc import Callable, Mapping
from operator import is_
from typing import Final

import msgspec

from resultstore.model.artifact import Artifact
from resultstore.model.spill import Spill

ARTIFACT_MARKER: Final = "resultstore.artifact/1"
SPILL_MARKER: Final = "resultstore.spill/1"
# The envelope of a registered type in kombu's JSON (kombu/utils/json.py), so that every backend writes the same.
TYPE_KEY: Final = "__type__"
VALUE_KEY: Final = "__value__"

KINDS: Final[Mapping[str, type[Artifact | Spill]]] = {ARTIFACT_MARKER: Artifact, SPILL_MARKER: Spill}
_MARKERS: Final[Mapping[type, str]] = {kind: marker for marker, kind in KINDS.items()}
_ENVELOPE_KEYS: Final = {TYPE_KEY, VALUE_KEY}
_SCALARS: Final = frozenset({bool, float, int, str, type(None)})


def is_reference(value: object) -> bool:
    """Return whether this is an Artifact or a Spill."""
    return type(value) in _MARKERS


def write_envelope(reference: object) -> dict[str, object]:
    """Return the envelope of an Artifact or a Spill. Raises KeyError for anything else."""
    return {TYPE_KEY: _MARKERS[type(reference)], VALUE_KEY: msgspec.to_builtins(reference)}


def is_envelope(value: object) -> bool:
    """Return whether this is a dict that `write_envelope` could have made, by its keys and its marker."""
    return isinstance(value, dict) and value.keys() == _ENVELOPE_KEYS and str(value[TYPE_KEY]) in KINDS


def read_envelope(envelope: object) -> Artifact | Spill:
    """Return the Artifact or Spill of an envelope. Raises msgspec.ValidationError for a malformed one."""
    fields: dict[str, object] = envelope  # type: ignore[assignment]  # `is_envelope` has checked it
    return msgspec.convert(fields[VALUE_KEY], KINDS[str(fields[TYPE_KEY])])


def mark(value: object) -> object:
    """Return `value` with an envelope in place of each reference inside dicts, lists and tuples."""
    return write_envelope(value) if is_reference(value) else replace_items(value, mark)


def unmark(value: object) -> object:
    """Return what `mark` was given. Raises msgspec.ValidationError for a malformed envelope."""
    return read_envelope(value) if is_envelope(value) else replace_items(value, unmark)


def replace_items(value: object, change: Callable[[object], object]) -> object:
    """Return `value` with its items changed; the same object where nothing changes, so that subclasses keep theirs.

    Plain scalars among the items are not passed to `change`: most items are such.
    """
    if isinstance(value, dict):
        changed = {
            key: after
            for key, item in value.items()
            if type(item) not in _SCALARS and (after := change(item)) is not item
        }
        return {**value, **changed} if changed else value
    if isinstance(value, list | tuple):
        items = [item if type(item) in _SCALARS else change(item) for item in value]
        if all(map(is_, items, value)):
            return value
        return tuple(items) if isinstance(value, tuple) else items
    return value


def copy_items(value: object, change: Callable[[object], object]) -> object:
    """Return a plain dict or list with the items of `value` changed, for serializers that know no other containers.

    Plain scalars among the items are not passed to `change`.
    """
    if isinstance(value, dict):
        return {key: item if type(item) in _SCALARS else change(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [item if type(item) in _SCALARS else change(item) for item in value]
    return value
