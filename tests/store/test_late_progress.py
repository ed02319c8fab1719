"""A thread that outlives its task does not change the task's record."""

import contextvars

from resultstore import Result, State, Store
from resultstore.store.attempt import Attempt, running


def test_progress_after_the_end_keeps_the_failure(store: Store):
    with running(Attempt("job")):
        store.progress(1, 8)
        late = contextvars.copy_context()
    store.save(Result(id="job", state=State.FAILURE))

    late.run(store.progress, 8, 8)

    assert store.load("job").state == State.FAILURE
