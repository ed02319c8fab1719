"""Metadata: the small facts that travel with an Artifact, as a seal gives them back."""

import math
from collections.abc import Mapping
from typing import Final

from resultstore.model.artifact import Scalar
from resultstore.model.errors import WrongType

_LEAST_INT: Final = -(2**63)  # what MessagePack holds, in which records are written
_MOST_INT: Final = 2**64 - 1


def checked_metadata(metadata: Mapping[str, Scalar], *, id: str) -> dict[str, Scalar]:
    """Return a copy of plain types.

    Raises WrongType for what a seal and a record could not give back as it is: a NaN or an infinity, an int beyond 64
    bits, a lone surrogate, a name that is no text, and every type that is no text, number, boolean or None.
    """
    checked: dict[str, Scalar] = {}
    for name, value in metadata.items():
        if not isinstance(name, str) or not _is_written(name):
            raise WrongType(f"a name in the metadata of an artifact of {id} is no text: {ascii(name)[:40]}")
        checked[str.__str__(name)] = _plain(value, what=f"{ascii(name)[:40]} in the metadata of an artifact of {id}")
    return checked


def _plain(value: object, *, what: str) -> Scalar:
    match value:
        case None | bool():
            return value
        case int() if _LEAST_INT <= value <= _MOST_INT:
            return int(value)
        case float() if math.isfinite(value):
            return float(value)
        case str() if _is_written(value):
            return str.__str__(value)  # of an enum its value, which is what travels
        case int() | float() | str():
            raise WrongType(f"{what} is {ascii(value)[:40]}, which JSON cannot hold: give text, or leave it out")
        case _:
            raise WrongType(
                f"{what} is a {type(value).__name__}, not text, a number, a boolean or None: give it as one of them"
            )


def _is_written(text: str) -> bool:
    """Whether UTF-8 holds it: lone surrogates it does not."""
    return not any("\ud800" <= char <= "\udfff" for char in text)
