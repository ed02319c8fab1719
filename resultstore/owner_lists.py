"""Name that `resultstore.ops.owner_lists` had in the last release; it goes with the next one."""

import warnings

from resultstore.ops.owner_lists import erase

__all__ = ["erase"]

warnings.warn("resultstore.owner_lists is named resultstore.ops.owner_lists now", DeprecationWarning, stacklevel=2)
