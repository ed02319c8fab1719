"""Stores for coroutines: in memory, and with the real Redis."""

import uuid

import pytest

from resultstore import Settings, Store, connect
from resultstore.aio import AsyncStore


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> Store:
    url = "memory://" if request.param == "memory" else request.getfixturevalue("redis_url")
    return connect(Settings(index_url=url, blobs_url="memory://", secret_key="k" * 32, commit_budget_s=1))


@pytest.fixture
def aio(store: Store) -> AsyncStore:
    return AsyncStore(store)


@pytest.fixture
def task_id() -> str:
    return uuid.uuid4().hex
