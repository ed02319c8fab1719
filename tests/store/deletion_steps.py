"""Steps: what a deletion is tested with: the work of one attempt, and what is left of a Result."""

from resultstore import Output, State, Store
from resultstore.capture.outputs import capture
from resultstore.index.index import Overwrite
from resultstore.model.errors import ResultDeleted
from resultstore.model.result import Failure, Result
from resultstore.store.attempt import Attempt, running

OWNER = "ann"
WHY = Failure("ValueError", "no")
STEPS = ("queued", "started", "stored", "sealed", "recorded")


class Work:
    """One attempt, step by step, as a worker does it; what a deletion stops in it is swallowed."""

    def __init__(self, store: Store, result_id: str) -> None:
        self.store = store
        self.attempt = Attempt(result_id, task="t", owner=OWNER)
        self.sealed: Result | None = None

    def step(self, name: str) -> None:
        try:
            getattr(self, f"_{name}")()
        except ResultDeleted:
            self.store.save(self.attempt.result(State.FAILURE).moved(State.FAILURE, failure=WHY, artifacts=()))

    def _queued(self) -> None:
        pending = Result(id=self.attempt.id, task="t", owner=OWNER)
        self.store.save(pending, over=Overwrite.IF_ABSENT)

    def _started(self) -> None:
        self.store.save(self.attempt.result(State.STARTED))

    def _stored(self) -> None:
        with running(self.attempt):
            capture(self.store, Output(data=b"content", name="out"))

    def _sealed(self) -> None:
        self.sealed = self.store.seal(self.attempt)

    def _recorded(self) -> None:
        if self.sealed is not None:
            self.store.save(self.sealed)


def nothing_is_left(store: Store, result_id: str) -> bool:
    known = [store.load(result_id), store.peek(result_id), *store.load_many([result_id]), *store.peek_many([result_id])]
    listed = [*store.ids(owner=OWNER), *store.ids()]
    blobs = [*store.blobs.list("blobs/"), *store.blobs.list("uploads/")]
    return (known, listed, blobs) == ([None] * 4, [], [])
