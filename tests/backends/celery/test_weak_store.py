"""An object store that ignores If-None-Match: the worker refuses to seal there, and the waiter gets the error."""

from collections.abc import Mapping

import pytest
from celery import Celery, states

from resultstore import Misconfigured
from resultstore.backends.celery import setup
from resultstore.backends.celery.testing import working
from resultstore.blobs.blobstore import Created
from resultstore.blobs.memory import MemoryBlobs

WAIT_S = 60


class EveryoneWins(MemoryBlobs):
    """What Garage 2.5 and rclone do."""

    where = "bucket results at a store"

    def create(self, key: str, body: bytes, *, tags: Mapping[str, str]) -> Created:
        self.replace(key, body, tags=tags)
        return Created("etag")


@pytest.mark.parametrize("captured", [True, False], ids=["setup", "URL alone"])
@pytest.mark.filterwarnings("ignore:no object store")
def test_worker_seals_nothing_on_a_weak_store(monkeypatch: pytest.MonkeyPatch, *, captured: bool):
    monkeypatch.setattr("resultstore.blobs.memory.MemoryBlobs", EveryoneWins)
    app = Celery("weak")
    app.conf.result_backend = "resultstore+memory://"
    if captured:
        setup(app)

    @app.task
    def large() -> str:
        return "v" * 100_000

    @app.task
    def small() -> int:
        return 7

    with working(app, blobs_url="memory://") as store:
        failed = large.delay()

        with pytest.raises(Misconfigured, match="nothing is sealed"):
            failed.get(timeout=WAIT_S)
        assert failed.state == states.FAILURE
        assert small.delay().get(timeout=WAIT_S) == 7
        assert list(store.blobs.list("")) == []
