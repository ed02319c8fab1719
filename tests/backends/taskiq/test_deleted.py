"""Deleted and cancelled tasks: they are not run, and their waiters are woken."""

import pytest
from taskiq import InMemoryBroker, SimpleRetryMiddleware

from resultstore import Settings, State, Store, connect
from resultstore.backends.taskiq import ResultStoreBackend, setup
from resultstore.model.errors import ResultDeleted

pytestmark = pytest.mark.anyio
OWNER = "ann"
LIMIT_S = 60


class HeldBroker(InMemoryBroker):
    """Keeps what was sent until `work` runs it."""

    held = ()

    async def kick(self, message) -> None:
        self.held = (*self.held, message)

    async def work(self) -> None:
        while self.held:
            message, *self.held = self.held
            await super().kick(message)
            await self.wait_all()


@pytest.fixture
def store() -> Store:
    return connect(Settings(index_url="memory://", blobs_url="memory://", secret_key="k" * 32))


@pytest.fixture
async def broker(store: Store):
    made = HeldBroker().with_result_backend(ResultStoreBackend(store))
    made.add_middlewares(SimpleRetryMiddleware(default_retry_count=2))
    setup(made)
    await made.startup()
    yield made
    await made.shutdown()


def nothing_is_left(store: Store, result_id: str) -> bool:
    return (store.load(result_id), list(store.ids(owner=OWNER)), list(store.blobs.list("blobs/"))) == (None, [], [])


async def sent(task, **labels: object):
    return await task.kicker().with_labels(resultstore_owner=OWNER, **labels).kiq()


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
@pytest.mark.parametrize("end", ["delete", "cancel", "cancel and delete"])
async def test_cancelled_or_deleted_task_is_not_run(broker, store, end, is_async):
    runs = []

    def counted() -> None:
        runs.append(1)

    async def counted_async() -> None:
        runs.append(1)

    task = await sent(broker.register_task(counted_async if is_async else counted))
    if "cancel" in end:
        store.save(store.load(task.task_id).moved(State.REVOKED))
    if "delete" in end:
        store.delete(task.task_id)
    await broker.work()

    assert runs == []
    if "delete" in end:
        assert nothing_is_left(store, task.task_id)
    else:
        assert store.load(task.task_id).state == State.REVOKED


async def test_waiter_for_a_deleted_result_is_woken(broker, store):
    async def one() -> int:
        return 1

    task = await sent(broker.register_task(one))
    store.delete(task.task_id)

    with pytest.raises(ResultDeleted, match=task.task_id):
        await task.wait_result(timeout=LIMIT_S)
