"""Fixtures: what Dramatiq's own tests of result backends ask for, made of our backend over real servers."""

import os
from collections.abc import Iterator

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker

from resultstore import Settings, Store, connect
from resultstore.backends.dramatiq import CaptureMiddleware, ResultStoreBackend


@pytest.fixture
def store(bucket: str, redis_url: str, s3_server, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A whole store, with the settings of this run."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    return connect(Settings(index_url=redis_url, blobs_url=f"s3://{bucket}/root", s3_endpoint=s3_server.endpoint))


@pytest.fixture
def result_backend(store: Store) -> ResultStoreBackend:
    return ResultStoreBackend(store)


@pytest.fixture
def redis_result_backend(result_backend: ResultStoreBackend) -> ResultStoreBackend:
    return result_backend


@pytest.fixture
def stub_broker(request: pytest.FixtureRequest) -> Iterator[StubBroker]:
    """A broker in this process; with CaptureMiddleware in the runs that ask for it."""
    broker = StubBroker()
    broker.emit_after("process_boot")
    dramatiq.set_broker(broker)
    with pytest.MonkeyPatch.context() as patch:
        if "result_backend" in request.fixturenames and os.environ.get("RS_CONFORMANCE_CAPTURE"):
            backend = request.getfixturevalue("result_backend")
            patch.setattr("dramatiq.message.global_encoder", backend.encoder)
            broker.add_middleware(CaptureMiddleware(backend))
        yield broker
    broker.flush_all()
    broker.close()


@pytest.fixture
def stub_worker(stub_broker: StubBroker) -> Iterator[dramatiq.Worker]:
    worker = dramatiq.Worker(stub_broker, worker_timeout=100, worker_threads=8)
    worker.start()
    yield worker
    worker.stop()
