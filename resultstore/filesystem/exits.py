"""Exit hook: lets the threads of pyarrow release the files they read before the interpreter ends."""

import atexit
import gc
import sys
import time
from functools import cache
from typing import Final

_PAUSE_S: Final = 0.1


@cache
def wait_for_readers_at_exit() -> None:
    """Wait a moment at the end of a program that reads by pyarrow; repeated calls do nothing more.

    pyarrow's threads drop a Python file after the read has returned, and need the GIL for it. A C++ thread that asks
    for the GIL while the interpreter ends is ended by CPython before 3.14, and its process aborts ("terminate called
    without an active exception"): https://docs.python.org/3/c-api/init.html#c.PyGILState_Ensure.
    """
    atexit.register(_release)


def _release() -> None:
    if "pyarrow" in sys.modules:
        gc.collect()
        time.sleep(_PAUSE_S)  # releases the GIL
