"""Owners: what a message says, its Result, its seal and all that it sends off itself belong to."""

import pytest
from taskiq import InMemoryBroker, SimpleRetryMiddleware

from resultstore import Artifact, NotYours, Output, Settings, Store, connect
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
    """Send it in an owner's name; its id and its value."""
    kicker = task.kicker().with_labels(**({OWNER: owner} if owner else {}))
    sent = await kicker.kiq(*args)
    return sent.task_id, (await sent.wait_result(timeout=20)).return_value


async def test_an_owner_stands_in_the_record_the_artifact_the_seal_and_his_list(broker, store):
    async def report() -> Output:
        return Output(data=b"made", name="made.txt")

    task_id, made = await run(broker.register_task(report), owner="ann")

    assert [store.load(task_id).owner, made.owner] == ["ann", "ann"]
    assert list(store.ids(owner="ann")) == [task_id]
    store.index.delete(task_id)
    assert store.load(task_id).owner == "ann"


async def test_it_is_pending_in_the_owners_name(broker, store):
    async def report() -> int:
        return store.load(ids[-1]).owner

    ids = ["7f3a"]
    task = broker.register_task(report)
    sent = await task.kicker().with_task_id("7f3a").with_labels(**{OWNER: "ann"}).kiq()

    assert (await sent.wait_result(timeout=20)).return_value == "ann"


async def test_what_an_owned_task_sends_is_the_same_owners_and_then_nobodys(broker, store):
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


async def test_inside_an_owners_task_another_owners_artifact_is_refused(broker, store):
    async def report() -> Output:
        return Output(data=b"made", name="made.txt")

    def reads(artifact: Artifact) -> str:
        try:
            return store.open(artifact).read().decode()
        except NotYours:
            return "refused"

    reading = broker.register_task(reads)
    _, artifact = await run(broker.register_task(report), owner="ann")

    assert [(await run(reading, artifact, owner=one))[1] for one in ("ann", "bob")] == ["made", "refused"]


async def test_a_retry_keeps_its_owner(broker, store):
    runs = []

    async def fails_once() -> int:
        runs.append(1)
        if len(runs) == 1:
            raise OSError("once")
        return len(runs)

    task = broker.register_task(fails_once, retry_on_error=True)
    task_id, value = await run(task, owner="ann")

    assert (value, store.load(task_id).owner) == (2, "ann")


async def test_message_keeps_its_own_owner(broker, store):
    async def whose() -> int:
        return 1

    async def sends() -> list[str]:
        bobs = await asked.kicker().with_labels(**{OWNER: "bob"}).kiq()
        return [bobs.task_id, (await asked.kiq()).task_id]

    asked = broker.register_task(whose)
    _, ids = await run(broker.register_task(sends), owner="ann")

    assert [store.load(one).owner for one in ids] == ["bob", "ann"]
