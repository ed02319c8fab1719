"""setup: prepares a Dramatiq broker, so that its actors can store results and return large outputs."""

from collections.abc import Iterable

from dramatiq import Broker, get_encoder, set_encoder
from dramatiq.results import Results

from resultstore.backends.dramatiq.backend import ResultStoreBackend
from resultstore.backends.dramatiq.capture_middleware import CaptureMiddleware
from resultstore.backends.dramatiq.encoder import wrap_encoder
from resultstore.capture.adapters import Adapter, Adapters
from resultstore.model.errors import Misconfigured
from resultstore.store import Store


def setup(broker: Broker, *, store: Store | None = None, adapters: Iterable[Adapter] = ()) -> None:
    """Store the results of the broker's actors, and capture their large outputs.

    An actor may return an `Output`, a generator of bytes, an open binary file or a `Path`. It is streamed into the
    store, and its Artifact takes its place.

    Call it once, where the broker is made, in workers and in programs that send. It

    * adds `Results(backend=ResultStoreBackend(store))`, unless the broker has a Results middleware with such a backend,
    * adds `CaptureMiddleware` after it,
    * wraps Dramatiq's encoder in an `ArtifactEncoder`; your encoder still writes everything but Artifacts. If you have
      one of your own, call `dramatiq.set_encoder` first.

    Args:
        broker: whose actors are captured, including those that are declared already.
        store: where results are kept; by default `resultstore.connect()`.
        adapters: write other objects that actors return as files, such as `resultstore.LIBRARY_ADAPTERS`. A second call
            replaces those of the first.

    Raises Misconfigured when the broker's results go to another backend, or the encoder is Dramatiq's PickleEncoder.
    """
    if not any(isinstance(one, Results) for one in broker.middleware):
        broker.add_middleware(Results(backend=ResultStoreBackend(store)))
    backend = _backend_of(broker)
    capturing = next((one for one in broker.middleware if isinstance(one, CaptureMiddleware)), None)
    if capturing is None:
        broker.add_middleware(CaptureMiddleware(backend, adapters=adapters))
    else:
        capturing.adapters = Adapters(adapters)
    set_encoder(wrap_encoder(get_encoder()))


def store_of(broker: Broker) -> Store:
    """Return the Store of the broker's results. Raises Misconfigured when they go to another backend."""
    return _backend_of(broker).store


def _backend_of(broker: Broker) -> ResultStoreBackend:
    try:
        backend = broker.get_results_backend()
    except RuntimeError:
        backend = None
    if not isinstance(backend, ResultStoreBackend):
        raise Misconfigured(
            "the broker's results do not go to resultstore: call setup(broker), and if it has a Results middleware, "
            "give that one the backend ResultStoreBackend()"
        )
    return backend
