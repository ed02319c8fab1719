"""plain_scalar(): the Python value of a numpy scalar, without importing numpy."""

import sys


class _OfNumpy(type):
    def __instancecheck__(cls, value: object) -> bool:
        return is_numpy_scalar(value)


class NumpyScalar(metaclass=_OfNumpy):
    """Replaces `numpy.generic` in `isinstance`, where numpy may be imported later or never."""


def is_numpy_scalar(value: object) -> bool:
    """Return whether this is a scalar of numpy, such as what `array.mean()` returns."""
    # A value can be a numpy scalar only if numpy was imported; another thread may import it at this moment.
    scalar = getattr(sys.modules.get("numpy"), "generic", None)
    return scalar is not None and isinstance(value, scalar)


def plain_scalar(value: object) -> object:
    """Return the bool, int, float, str, bytes or date that a numpy scalar holds; any other value as it is."""
    if not is_numpy_scalar(value):
        return value
    plain: object = value.item()  # type: ignore[attr-defined]  # a method of numpy.generic
    # A longdouble returns itself: Python has no float of its precision.
    is_long = isinstance(plain, sys.modules["numpy"].floating) and not isinstance(plain, float)
    return float(plain) if is_long else plain  # type: ignore[arg-type]  # numpy.floating has __float__
