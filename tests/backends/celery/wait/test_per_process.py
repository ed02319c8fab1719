"""PerProcess: a fork shares no object with its parent."""

import os

from resultstore.backends.celery.wait.per_process import PerProcess


def test_one_process_makes_one_object():
    per_process = PerProcess(object)

    assert per_process.peek() is None
    assert per_process.get() is per_process.get() is per_process.peek()


def test_fork_makes_its_own_object():
    per_process = PerProcess(object)
    of_parent = per_process.get()

    child = os.fork()
    if not child:
        is_own = per_process.peek() is None and per_process.get() is not of_parent
        os._exit(0 if is_own else 1)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert per_process.get() is of_parent


def test_popped_object_is_made_anew():
    per_process = PerProcess(object)
    first = per_process.get()

    assert per_process.pop() is first
    assert per_process.get() is not first
