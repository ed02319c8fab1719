"""checked_metadata(): checks that metadata of an Artifact survives a round trip through seal and record."""

import math
from collections.abc import Mapping
from typing import Final

from resultstore.model.artifact import Scalar
from resultstore.model.errors import WrongType
from resultstore.store.numpy_scalars import plain_scalar

_MIN_INT: Final = -(2**63)  # the range of MessagePack, in which records are written
_MAX_INT: Final = 2**64 - 1


def checked_metadata(metadata: Mapping[str, Scalar], *, id: str) -> dict[str, Scalar]:
    """Return a copy of `metadata` with plain types; a numpy scalar becomes the value that it holds.

    Raises WrongType for a value that would not come back unchanged: NaN, infinity, an int beyond 64 bits, a lone
    surrogate, and any type except str, int, float, bool and None. A name must be a str.
    """
    checked: dict[str, Scalar] = {}
    for name, value in metadata.items():
        if not isinstance(name, str) or not _is_written(name):
            raise WrongType(f"a metadata name of an artifact of {id} is not valid text: {ascii(name)[:40]}")
        checked[str.__str__(name)] = _plain(
            plain_scalar(value), what=f"{ascii(name)[:40]} in the metadata of an artifact of {id}"
        )
    return checked


def _plain(value: object, *, what: str) -> Scalar:
    match value:
        case None | bool():
            return value
        case int() if _MIN_INT <= value <= _MAX_INT:
            return int(value)
        case float() if math.isfinite(value):
            return float(value)
        case str() if _is_written(value):
            return str.__str__(value)  # of a str enum, its value
        case int() | float() | str():
            raise WrongType(
                f"{what} is {ascii(value)[:40]}, which JSON cannot represent: pass it as text, or leave it out"
            )
        case _:
            raise WrongType(
                f"{what} is a {type(value).__name__}: pass text, a number, a boolean or None, such as str(value)"
            )


def _is_written(text: str) -> bool:
    """Return True if UTF-8 can encode `text`: it has no lone surrogates."""
    return not any("\ud800" <= char <= "\udfff" for char in text)
