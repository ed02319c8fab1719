"""A program that read by pyarrow waits a moment at its end; others do not."""

import subprocess
import sys

import pytest

PROGRAM = """
import atexit, sys, time
if {with_pyarrow}:
    import pyarrow
from resultstore.filesystem.exits import wait_for_readers_at_exit
time.sleep = lambda seconds: print("waited", flush=True)
wait_for_readers_at_exit()
wait_for_readers_at_exit()
"""


@pytest.mark.parametrize("with_pyarrow", [True, False])
def test_end_waits_once_for_readers(with_pyarrow):
    program = PROGRAM.format(with_pyarrow=with_pyarrow)

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert said == ("waited\n" if with_pyarrow else "")
