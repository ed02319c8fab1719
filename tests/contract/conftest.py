"""Fixtures of the contract suites: each driver of blobs and of the index, on its real server."""

import uuid

import pytest

from resultstore.blobs.local.driver import LocalBlobs
from resultstore.blobs.memory import MemoryBlobs
from resultstore.blobs.obstore.client import ObstoreClient
from resultstore.blobs.obstore.driver import ObstoreBlobs
from resultstore.blobs.s3.credentials import Credentials
from resultstore.blobs.s3.driver import S3Blobs
from resultstore.blobs.s3.target import S3Target
from resultstore.index.memory.driver import MemoryIndex
from resultstore.index.redis.driver import RedisIndex
from resultstore.model.result import Result
from tests.rediscluster import redis_cluster


def open_local_store(folder):
    """Opens obstore's LocalStore, as the driver of another vendor opens its own."""

    def opened(library, retry_config, client_options):
        return library._store.LocalStore(folder, mkdir=True)

    return opened


@pytest.fixture(params=["memory", "local", "s3", "obstore"])
def blobs(request, tmp_path):
    """An empty store of each kind."""
    if request.param == "obstore":
        opened = open_local_store(tmp_path / "blobs")
        return ObstoreBlobs(ObstoreClient(opened, where=str(tmp_path), keeps_media_types=False))
    if request.param == "memory":
        return MemoryBlobs()
    if request.param == "local":
        return LocalBlobs(tmp_path / "blobs")
    return request.getfixturevalue("s3_blobs")


@pytest.fixture
def s3_blobs(s3_server, bucket):
    """A prefix in a fresh bucket of the real object store."""
    credentials = Credentials(s3_server.access_key, s3_server.secret_key)
    target = S3Target(bucket=bucket, prefix="some/root", endpoint_url=s3_server.endpoint)
    return S3Blobs(target, credentials=lambda: credentials)


@pytest.fixture(scope="session")
def cluster_url(tmp_path_factory):
    """A Redis Cluster of three nodes."""
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as url:
        yield url


@pytest.fixture(params=["memory", "redis", "redis-cluster", "redis-prefix"])
def index(request):
    """An index of each kind; the Redis is shared with other tests."""
    if request.param == "memory":
        return MemoryIndex()
    if request.param == "redis-cluster":
        return RedisIndex(request.getfixturevalue("cluster_url"))
    prefix = f"{uuid.uuid4().hex}:" if request.param == "redis-prefix" else ""
    return RedisIndex(request.getfixturevalue("redis_url"), prefix=prefix)


@pytest.fixture
def one():
    """A result whose id no other test uses."""
    return Result(id=uuid.uuid4().hex)
