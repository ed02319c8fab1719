"""Owners of the messages that an async task sends."""

import pytest
from taskiq import InMemoryBroker, SimpleRetryMiddleware

from resultstore import Settings, Store, connect
from resultstore.backends.taskiq import ResultStoreBackend, setup

pytestmark = pytest.mark.anyio
OWNER = "resultstore_owner"


@pytest.fixture
def store() -> Store:
    return connect(Settings(index_url="memory://", blobs_url="memory://", secret_key="k" * 32))


@pytest.fixture
async def broker(store: Store):
    made = InMemoryBroker().with_result_backend(ResultStoreBackend(store))
    made.add_middlewares(SimpleRetryMiddleware(default_retry_count=2))
    setup(made)
    await made.startup()
    yield made
    await made.shutdown()


async def run(task, *args: object, owner: str = ""):
    """Send a task for an owner; return its id and its value."""
    kicker = task.kicker().with_labels(**({OWNER: owner} if owner else {}))
    sent = await kicker.kiq(*args)
    return sent.task_id, (await sent.wait_result(timeout=20)).return_value


async def test_async_task_passes_its_owner_on(broker, store):
    ids = []

    async def last() -> int:
        return 1

    sending = broker.register_task(last)

    async def first() -> None:
        ids.append((await run(sending))[0])

    starting = broker.register_task(first)
    await run(starting, owner="ann")
    await run(starting)

    assert [store.load(one).owner for one in ids] == ["ann", ""]
