"""The published pytest-celery 1.x: `make works-with`. Its containers need a Docker engine, and are not started here.

Its nodes take our URL from a subclass of its Redis backend; the app that it makes of that works on a Redis.
"""

from pathlib import Path
from types import SimpleNamespace

from pytest_celery import CeleryBackendCluster, CeleryTestSetup, RedisTestBackend

from resultstore.backends.celery import setup
from tests.works_with.conftest import LARGE, WAIT_S, working


class ResultStoreTestBackend(RedisTestBackend):
    """The Redis of a test, as our backend."""

    def config(self, *args: object, **kwargs: object) -> dict:
        found = super().config(*args, **kwargs)
        return found | {name: f"resultstore+{found[name]}" for name in ("url", "host_url")}


def test_its_setup_makes_an_app_of_ours(redis_url: str, tmp_path: Path):
    # Stands for the container: a Redis that runs already.
    running = SimpleNamespace(celeryconfig={"url": redis_url, "host_url": redis_url})
    backends = CeleryBackendCluster(ResultStoreTestBackend(running))
    brokers = SimpleNamespace(config=lambda: {"urls": ["memory://"], "host_urls": ["memory://"]})
    config = CeleryTestSetup.config(
        celery_worker_cluster_config={
            "celery_broker_cluster_config": brokers.config(),
            "celery_backend_cluster_config": backends.config(),
        }
    )
    app = CeleryTestSetup.create_setup_app(config, "of-pytest-celery")
    app.conf.update(resultstore_blobs_url=f"file://{tmp_path}", broker_transport_options={"polling_interval": 0.01})
    setup(app)

    @app.task(name="double")
    def double(text: str) -> str:
        return text * 2

    with working(app):
        assert double.delay("d" * LARGE).get(timeout=WAIT_S) == "d" * 2 * LARGE
