"""Run limit: an actor that kills its worker process fails after three runs."""

import tempfile
import uuid
from types import ModuleType

import pytest
from dramatiq.results import ResultFailure

from resultstore import Store
from tests.backends.dramatiq.conftest import start_worker


def test_actor_that_kills_its_worker_fails_finally(jobs: ModuleType, store: Store, environment: dict[str, str]):
    own = {**environment, "RS_TEST_QUEUE": f"queue-{uuid.uuid4().hex}"}
    jobs.broker.declare_queue(own["RS_TEST_QUEUE"])
    message = jobs.dies.message().copy(queue_name=own["RS_TEST_QUEUE"])
    jobs.broker.enqueue(message)

    with tempfile.TemporaryFile() as log:
        for _ in range(3):
            assert start_worker(own, log).wait(60) != 0  # Dramatiq ends with the first process that it loses
            log.truncate(0)
        last = start_worker(own, log)
        with pytest.raises(ResultFailure, match=f"dies {message.message_id} was started 3 times"):
            message.get_result(block=True, timeout=60_000)
        assert last.poll() is None, "the fourth worker works on"
        last.terminate()
        last.wait(30)

    assert store.load(message.message_id).failure.type == "WorkerLost"
