"""plain_scalar(): the Python value of a numpy scalar, without importing numpy."""

import sys
from typing import SupportsFloat


def plain_scalar(value: object) -> object:
    """Return the bool, int, float, str, bytes or date that a numpy scalar holds; any other value as it is."""
    # A value can be a numpy scalar only if numpy was imported; another thread may import it at this moment.
    scalar = getattr(sys.modules.get("numpy"), "generic", None)
    if scalar is None or not isinstance(value, scalar):
        return value
    plain: object = value.item()
    # A longdouble returns itself: Python has no float of its precision.
    return float(value) if isinstance(plain, scalar) and isinstance(value, SupportsFloat) else plain
