"""The Dramatiq backend: encoders, setup and failures, by a broker and a worker in this process."""

from collections.abc import Callable, Iterator

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import SkipMessage
from dramatiq.results import ResultFailure, ResultMissing, Results
from dramatiq.results.backends import StubBackend

from resultstore import Artifact, Misconfigured, Output, Settings, State, Store, connect
from resultstore.backends import dramatiq as backend_package
from resultstore.backends.dramatiq import ArtifactEncoder, CaptureMiddleware, ResultStoreBackend, setup, store_of

ARTIFACT = Artifact(
    id="7f3a",
    name="report.pdf",
    file_name="report.pdf",
    key="blobs/30d/aa/7f3a/" + "0" * 32 + ".0",
    etag="e",
    size_bytes=5,
    media_type="application/pdf",
    sha256="ab" * 32,
    stored_bytes=5,
    metadata={"pages": 3},
)


class Shouting(dramatiq.JSONEncoder):
    """An encoder of a user's own."""

    def encode(self, data) -> bytes:
        return b"!" + super().encode(data)

    def decode(self, data: bytes):
        return super().decode(data.removeprefix(b"!"))


@pytest.fixture(autouse=True)
def encoder() -> Iterator[None]:
    """Restore Dramatiq's encoder, which is global."""
    before = dramatiq.get_encoder()
    dramatiq.set_encoder(dramatiq.JSONEncoder())
    yield
    dramatiq.set_encoder(before)


@pytest.fixture
def store() -> Store:
    return connect(Settings(index_url="memory://", blobs_url="memory://"))


@pytest.fixture
def broker() -> Iterator[StubBroker]:
    made = StubBroker()
    made.emit_after("process_boot")
    before = dramatiq.broker.global_broker
    dramatiq.set_broker(made)
    yield made
    made.close()
    dramatiq.set_broker(before)


@pytest.fixture
def run(broker: StubBroker) -> Iterator[Callable[[Callable[..., object]], dramatiq.Message]]:
    """Run a function as an actor that stores results, and return its message once it was processed."""
    worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=1)

    def one(function: Callable[..., object], *args: object, **options: object) -> dramatiq.Message:
        actor = dramatiq.actor(function, store_results=True, **{"max_retries": 0, **options})
        if not worker.consumers:
            worker.start()
        message = actor.send(*args)
        broker.join(actor.queue_name, timeout=20_000, fail_fast=False)
        worker.join()
        return message

    yield one
    worker.stop()


@pytest.mark.parametrize("inner", [dramatiq.JSONEncoder(), dramatiq.PickleEncoder(), Shouting()])
def test_artifact_travels_in_every_part_of_a_message(inner):
    encoder = ArtifactEncoder(inner)
    sent = {
        "args": [ARTIFACT, [1, ARTIFACT]],
        "kwargs": {"one": ARTIFACT},
        "options": {"pipe_target": {"args": [ARTIFACT], "options": {"pipe_target": {"args": [[ARTIFACT]]}}}},
    }

    assert encoder.decode(encoder.encode(sent)) == sent


def test_inner_encoder_gets_unchanged_data_without_artifacts():
    met = []

    class Looking(dramatiq.JSONEncoder):
        def encode(self, data) -> bytes:
            met.append(data)
            return super().encode(data)

    sent = {"args": (1, [2, {"a": (3,)}])}
    ArtifactEncoder(Looking()).encode(sent)

    assert met[0] is sent


def test_malformed_envelope_is_a_decode_error():
    with pytest.raises(dramatiq.DecodeError, match=r"resultstore\.artifact/1"):
        ArtifactEncoder(dramatiq.JSONEncoder()).decode(
            b'{"__type__": "resultstore.artifact/1", "__value__": {"id": 3}}'
        )


def test_setup_wraps_the_encoder_once(broker: StubBroker, store: Store):
    own = Shouting()
    dramatiq.set_encoder(own)

    setup(broker, store=store)
    setup(broker)

    assert dramatiq.get_encoder().inner is own
    assert [type(one) for one in broker.middleware[-2:]] == [Results, CaptureMiddleware]
    assert sum(isinstance(one, Results | CaptureMiddleware) for one in broker.middleware) == 2
    assert store_of(broker) is store


def test_old_name_of_the_middleware_warns():
    with pytest.warns(DeprecationWarning, match="CaptureMiddleware"):
        assert backend_package.Capture is CaptureMiddleware
    with pytest.raises(AttributeError, match="Captured"):
        _ = backend_package.Captured


def test_actor_declared_before_setup_is_captured(broker: StubBroker, store: Store, run):
    @dramatiq.actor
    def early() -> Output:
        return Output(data=b"early")

    setup(broker, store=store)
    early.options.update(store_results=True, max_retries=0)
    run(lambda: None, actor_name="starts_the_worker")
    message = early.send()
    broker.join("default")

    assert message.get_result(block=True).size_bytes == 5


def test_setup_refuses_another_results_backend(broker: StubBroker, store: Store):
    broker.add_middleware(Results(backend=StubBackend()))

    with pytest.raises(Misconfigured, match=r"ResultStoreBackend\(\)"):
        setup(broker, store=store)
    with pytest.raises(Misconfigured, match=r"setup\(broker\)"):
        store_of(StubBroker())


def test_pickle_is_refused(store: Store):
    dramatiq.set_encoder(dramatiq.PickleEncoder())

    with pytest.raises(Misconfigured, match=r"JSONEncoder\(\)"):
        ResultStoreBackend(store)
    assert ResultStoreBackend(store, encoder=dramatiq.JSONEncoder()).decoded(b"[1]") == [1]


def test_worker_refuses_an_encoder_that_loses_artifacts(broker: StubBroker, store: Store):
    setup(broker, store=store)
    dramatiq.set_encoder(dramatiq.JSONEncoder())
    worker = dramatiq.Worker(broker)

    with pytest.raises(Misconfigured, match=r"ArtifactEncoder\(your_encoder\)"):
        worker.start()


def test_actor_called_as_a_function_is_not_captured(broker: StubBroker, store: Store, run):
    setup(broker, store=store)

    def nested(*, outermost: bool = True) -> object:
        inner = broker.get_actor("nested").fn(outermost=False) if outermost else iter(())
        return type(inner).__name__ if outermost else (chunk for chunk in inner)

    assert run(nested).get_result() == "generator"


def test_large_value_is_sealed_without_the_middleware(broker: StubBroker, store: Store, run):
    broker.add_middleware(Results(backend=ResultStoreBackend(store)))

    message = run(lambda: "v" * 100_000, actor_name="large")

    assert message.get_result() == "v" * 100_000
    assert store.load(message.message_id).sealed
    assert store.index.load(message.message_id).value is None


@pytest.mark.parametrize(("result_ttl", "retention"), [(1, "1d"), (86_400_000, "1d"), (86_400_001, "7d")])
def test_large_value_gets_the_shortest_sufficient_class(
    broker: StubBroker, store: Store, run, result_ttl: int, retention: str
):
    setup(broker, store=store)

    message = run(lambda: "v" * 100_000, actor_name="large", result_ttl=result_ttl)

    keys = [one.key for one in store.blobs.list("blobs/") if message.message_id in one.key]
    assert [key.split("/")[1] for key in keys] == [retention]


def test_unwritable_value_fails_with_its_reason(broker: StubBroker, store: Store, run):
    setup(broker, store=store)

    message = run(lambda: [store.put(b"part"), {1, 2}], actor_name="a_set")

    with pytest.raises(ResultFailure, match="TypeError: Object of type set is not JSON serializable"):
        message.get_result()
    assert list(store.blobs.list("blobs/")) == []


def test_unavailable_object_store_fails_the_attempt(broker: StubBroker, run, monkeypatch):
    # given: no server listens at this address
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    away = {"blobs_url": "s3://away", "s3_endpoint": "http://127.0.0.1:9", "commit_budget_s": 0.2}
    setup(broker, store=connect(Settings(index_url="memory://", **away)))

    message = run(lambda: "v" * 100_000, actor_name="large")

    found = store_of(broker).index.load(message.message_id)
    assert found.state == State.FAILURE
    assert found.failure.type in {"BlobStoreUnavailable", "CommitUnknown"}


def test_output_is_refused_without_an_object_store(broker: StubBroker, run):
    setup(broker, store=connect(Settings(index_url="memory://", blobs_url="")))

    large = run(lambda: "v" * 100_000, actor_name="large")
    output = run(lambda: Output(data=b"1"), actor_name="output")

    assert large.get_result() == "v" * 100_000
    with pytest.raises(ResultFailure, match="RESULTSTORE_BLOBS_URL"):
        output.get_result()


def test_later_failure_does_not_replace_a_sealed_result(broker: StubBroker, store: Store, run):
    # given: the first attempt was sealed, and its record is lost
    setup(broker, store=store)
    message = run(lambda: Output(data=b"sealed"), actor_name="output")
    store.index.delete(message.message_id)

    # when
    broker.get_results_backend().store_exception(message, RuntimeError("late"), 1_000)

    # then
    assert message.get_result().size_bytes == 6


def test_skipped_redelivery_keeps_the_sealed_outcome(broker: StubBroker, store: Store, run):
    # given: a run before was sealed
    setup(broker, store=store)
    message = run(lambda: Output(data=b"sealed"), actor_name="output")

    class Skips(dramatiq.Middleware):
        def before_process_message(self, broker, message) -> None:  # noqa: ARG002 - Dramatiq's signature
            store.index.delete(message.message_id)  # the record is lost before the message is redelivered
            raise SkipMessage("seen before")

    # when
    broker.add_middleware(Skips())
    broker.enqueue(message)
    broker.join("default")

    # then
    assert message.get_result(block=True).size_bytes == 6


def test_result_deleted_during_its_run_is_missing(broker: StubBroker, store: Store, run):
    setup(broker, store=store)

    def deletes() -> Output:
        made = store.put(b"unwanted")
        store.delete(made.id)
        return Output(data=b"unwanted too", name="second")

    message = run(deletes)

    with pytest.raises(ResultMissing):
        message.get_result()
    assert list(store.blobs.list("blobs/")) == []


def test_exception_without_a_text_reaches_its_waiter(broker: StubBroker, store: Store, run):
    class Wordless(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    def wordless() -> None:
        raise Wordless

    setup(broker, store=store)
    message = run(wordless)

    with pytest.raises(ResultFailure, match="Wordless: <exception str"):
        message.get_result()
