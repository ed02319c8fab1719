"""Setup: one call that lets a broker's actors keep results and return large outputs."""

from dramatiq import Broker, get_encoder, set_encoder
from dramatiq.results import Results

from resultstore.backends.dramatiq.backend import ResultStoreBackend
from resultstore.backends.dramatiq.capture_middleware import Capture
from resultstore.backends.dramatiq.encoder import wrap_encoder
from resultstore.model.errors import Misconfigured
from resultstore.store import Store


def setup(broker: Broker, *, store: Store | None = None) -> None:
    """Keep the results of the broker's actors, and capture what they return: an `Output`, a generator of bytes, an open
    binary file or a `Path` is streamed into the store, and its Artifact travels in its place.

    Call it once, where the broker is made, in workers and in programs that send. It

    * adds `Results(backend=ResultStoreBackend(store))`, unless the broker has a Results middleware with such a backend,
    * adds `Capture` behind it,
    * puts an `ArtifactEncoder` around Dramatiq's encoder, which stays inside and goes on to write all else. Call
      `dramatiq.set_encoder` before, if you have one of your own.

    Args:
        broker: whose actors are meant; those that are declared already, too.
        store: where results are kept; by default `resultstore.connect()`.

    Raises Misconfigured when the broker's results go to another backend, or the encoder is Dramatiq's PickleEncoder.
    """
    if not any(isinstance(one, Results) for one in broker.middleware):
        broker.add_middleware(Results(backend=ResultStoreBackend(store)))
    backend = _backend_of(broker)
    if not any(isinstance(one, Capture) for one in broker.middleware):
        broker.add_middleware(Capture(backend))
    set_encoder(wrap_encoder(get_encoder()))


def store_of(broker: Broker) -> Store:
    """The Store behind the broker's results. Raises Misconfigured when they go to another backend."""
    return _backend_of(broker).store


def _backend_of(broker: Broker) -> ResultStoreBackend:
    try:
        backend = broker.get_results_backend()
    except RuntimeError:
        backend = None
    if not isinstance(backend, ResultStoreBackend):
        raise Misconfigured(
            "the broker's results do not go to resultstore: call setup(broker), and give a Results middleware "
            "that it has already the backend ResultStoreBackend()"
        )
    return backend
