"""Fixtures of the Uppy tests: two tenants and a gateway with tokens, over MinIO, Redis and RabbitMQ."""

import dataclasses
from collections.abc import Iterator
from functools import partial

import httpx
import pytest

from resultstore import Settings
from resultstore.testing.promises import MIB
from resultstore.uploads.completion import UploadCompleter
from resultstore.uploads.reconcile import Reconciler
from tests.gateway.conftest import granted
from tests.uploads.conftest import Place, environment, serving

SIZE = 6 * MIB + 5
CHUNK = 5 * MIB  # Uppy's default for files of this size


@dataclasses.dataclass
class Scene:
    """Two tenants, a client without a token, and the servers of the gateway."""

    place: Place
    ann: httpx.Client
    bob: httpx.Client
    anonymous: httpx.Client

    def state(self, upload_id: str) -> str | None:
        found = self.place.store.load(upload_id)
        return None if found is None else found.state


@pytest.fixture
def variables(redis_url, amqp_url, s3_server, bucket) -> dict[str, str]:
    return environment(redis_url, amqp_url, s3_server, f"s3://{bucket}/root")


@pytest.fixture
def scene(request, tmp_path, variables, monkeypatch) -> Iterator[Scene]:
    variables |= {"RESULTSTORE_AUTH": "tokens", "RESULTSTORE_AUTH_TOKENS_FILE": str(tmp_path / "tokens")}
    variables |= getattr(request, "param", {})
    token_of = partial(granted, tmp_path / "tokens")
    tokens = [token_of(name, "read", "upload") for name in ("ann", "bob")]
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with serving(Settings()) as place:
        clients = [_client(place, token) for token in (*tokens, "")]
        yield Scene(place, *clients)
        for one in clients:
            one.close()


@pytest.fixture
def reconciler(scene) -> Reconciler:
    return Reconciler(scene.place.store, UploadCompleter(scene.place.store, dispatcher=scene.place.dispatcher))


@pytest.fixture(scope="session")
def table() -> bytes:
    """Return a CSV of a little over 6 MiB, which Uppy sends in two parts."""
    return (b"a,b,c\n" + b"1,2,3\n" * (SIZE // 6 + 1))[:SIZE]


def _client(place: Place, token: str) -> httpx.Client:
    # Accept is the only relevant header of Uppy 5 (companion-client, RequestClient.headers).
    headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    return httpx.Client(base_url=place.gateway.base_url, headers=headers, timeout=30)
