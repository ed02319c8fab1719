"""Quotas and claims of a request are released when any of its steps fails."""

import time
import uuid
from collections.abc import Callable, Iterator

import httpx
import pytest

from resultstore.backends.taskiq.woken_tasks import WAITERS, Waiters
from resultstore.gateway.quotas import QuotaKind
from resultstore.index.leases import Leases
from resultstore.index.memory.driver import MemoryIndex
from resultstore.index.redis.driver import RedisIndex
from resultstore.model import layout
from resultstore.model.errors import BlobStoreUnavailable, IndexUnavailable
from resultstore.store import Store
from tests.gateway.conftest import Orders, Served
from tests.gateway.events.conftest import Watched, serving as serving_events
from tests.gateway.test_own_server import made

OWNER = "local"
STEPS = {
    "keys": ("run_script", "keep", "read", "drop", "claim"),
    "listing": ("load_many",),
    "events": ("last_event_id",),
    "": ("save", "load", "delete"),
}
MOST_STEPS = 60
SOON_S = 30.0


class Failing:
    """Makes the nth call of an index fail, before or after it was executed."""

    def __init__(self, index, patch: pytest.MonkeyPatch, *, nth: int, after: bool) -> None:
        self.left, self.failed, self.gave_back = nth, "", False
        for group, names in STEPS.items():
            part = getattr(index, group) if group else index
            for name in names:
                patch.setattr(part, name, self._wrapped(name, getattr(part, name), after=after))

    def _wrapped(self, name: str, whole: Callable, *, after: bool) -> Callable:
        def step(*args, **options):
            self.left -= 1
            if self.left or self.failed:
                return whole(*args, **options)
            # A lease that cannot be released now expires later.
            self.gave_back = "leave" in options.get("args", ()) or "'DEL'" in repr(args)
            self.failed = f"{name} {args!r:.300} {options!r:.300}"
            if after:
                whole(*args, **options)
            raise IndexUnavailable("no answer")

        return step


@pytest.fixture
def owner() -> str:
    return f"ann-{uuid.uuid4().hex}"


def held(index, kind: QuotaKind, owner: str = OWNER) -> set[str]:
    return set(Leases(index).members(layout.quota_key(owner, kind)))


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + SOON_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def placed(redis_url, tmp_path, orders: Orders, serving) -> Iterator[Served]:
    """Serve a gateway over a Redis whose calls can be made to fail."""
    with serving(tmp_path, orders, index=RedisIndex(redis_url, prefix=f"{uuid.uuid4().hex}:")) as served:
        yield served


@pytest.mark.parametrize("after", [False, True])
def test_work_that_was_not_sent_takes_no_place(placed, orders, monkeypatch, after):
    index, failures = placed.store.index, 0
    for nth in range(1, MOST_STEPS):
        before = len(orders.sent)
        with monkeypatch.context() as patch:
            failing = Failing(index, patch, nth=nth, after=after)
            headers = {"Idempotency-Key": f"key-{nth}"}
            answer = placed.gateway.post("/v1/tasks/greet", json={"arguments": {"name": "x"}}, headers=headers)
        sent = {one.id for one in orders.sent[before:]}
        assert answer.status_code in {202, 503}
        assert held(index, QuotaKind.RUNNING) == sent, failing.failed
        for one in sent:
            Leases(index).release(layout.quota_key(OWNER, QuotaKind.RUNNING), one)
        if not failing.failed:
            break
        failures += 1

    assert (answer.status_code, failures >= 5) == (202, True)


@pytest.mark.parametrize("after", [False, True])
def test_failed_completion_releases_claim_and_quota(placed, orders, monkeypatch, after):
    index, failures = placed.store.index, 0
    for nth in range(1, MOST_STEPS):
        ticket = uploaded(placed)
        before = len(orders.sent)
        with monkeypatch.context() as patch:
            failing = Failing(index, patch, nth=nth, after=after)
            answer = placed.gateway.post(f"/v1/uploads/{ticket}/complete", json={})
        assert answer.status_code in {202, 503}
        if answer.status_code == 503 and len(orders.sent) == before and not failing.gave_back:
            assert ticket not in held(index, QuotaKind.RUNNING), failing.failed
            assert placed.gateway.post(f"/v1/uploads/{ticket}/complete", json={}).status_code == 202
        if not failing.gave_back:
            assert len(orders.sent) > before
            assert index.keys.claim(layout.claim_key(ticket), "another", ttl_s=1), failing.failed
        Leases(index).release(layout.quota_key(OWNER, QuotaKind.RUNNING), ticket)
        if not failing.failed:
            break
        failures += 1

    assert (answer.status_code, failures >= 8) == (202, True)


def uploaded(placed: Served) -> str:
    """Begin an upload, send its bytes and return its id."""
    png = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00\x90wS\xde"
    asked = {"name": "a.png", "media_type": "image/png", "task": "shrink", "size_bytes": len(png)}
    ticket = placed.gateway.post("/v1/uploads", json=asked).raise_for_status().json()
    placed.bytes.put(ticket["url"], content=png, headers=ticket["headers"]).raise_for_status()
    return ticket["id"]


@pytest.mark.parametrize("after", [False, True])
def test_failed_stream_releases_its_quota(redis_url, owner, monkeypatch, after):
    index = RedisIndex(redis_url, prefix=f"{uuid.uuid4().hex}:")
    refused = 0
    for watched in serving_events(index):
        for nth in range(1, 10):
            with monkeypatch.context() as patch:
                failing = Failing(index, patch, nth=nth, after=after)
                refused += began(watched, owner) != 200
            wait_until(lambda one=failing: not held(index, QuotaKind.STREAMS, owner) or one.gave_back)
            wait_until(lambda hub=watched.hub: hub.viewers == 0)
            for one in held(index, QuotaKind.STREAMS, owner):
                Leases(index).release(layout.quota_key(owner, QuotaKind.STREAMS), one)

    assert refused >= 2


def began(watched: Watched, owner: str) -> int:
    """Open a stream, read its first bytes and return its status."""
    with httpx.stream("GET", f"{watched.url}/v1/events", headers={"Authorization": f"Bearer {owner}"}) as answer:
        if answer.status_code == 200:
            next(answer.iter_raw(), None)
        return answer.status_code


@pytest.mark.anyio
async def test_a_waiter_that_gets_no_thread_takes_none(tmp_path):
    waiters = Waiters(Store(index=MemoryIndex(), blobs=None, signer=None))
    waiters._threads.pool.shutdown()  # as at the end of a process

    for _ in range(WAITERS + 1):
        with pytest.raises(RuntimeError, match="shutdown"):
            await waiters.ready("x", timeout_s=1, poll_s=0.01)


def test_failed_cleanup_is_repeated_soon(tmp_path, orders, redis_url, monkeypatch):
    app = made(tmp_path, orders, index=RedisIndex(redis_url, prefix=f"{uuid.uuid4().hex}:"))
    store, reconciler = app.state.store, app.state.reconciler
    orphan = layout.upload_key("nobody-knows-it", retention="1d", nonce=layout.new_nonce())
    store.blobs.put(orphan, [b"?"], media_type="text/plain")
    now = store.blobs.now()
    monkeypatch.setattr(store.blobs, "now", lambda: now + 8 * layout.DAY_S)
    with monkeypatch.context() as patch:
        patch.setattr(store.blobs, "list", unreadable)
        with pytest.raises(BlobStoreUnavailable):
            reconciler.round()
    store.index.keys.drop(layout.RECONCILING_KEY)  # the next minute

    assert reconciler.round().orphans == 1


def unreadable(_prefix: str) -> Iterator[None]:
    raise BlobStoreUnavailable("no answer")
