"""Contract of Listing, Keys, UnconfirmedWrites and Subscription, in each driver."""

import threading
import time
import uuid

import pytest

from resultstore.index.index import Overwrite
from resultstore.index.memory.driver import MemoryIndex
from resultstore.index.redis.driver import RedisIndex
from resultstore.model.errors import Misconfigured
from resultstore.model.result import Result, State

SOON_S = 5.0


@pytest.fixture(params=["memory", "redis", "redis with a prefix"])
def index(request):
    if request.param == "memory":
        return MemoryIndex()
    prefix = f"{uuid.uuid4().hex}:" if "prefix" in request.param else ""
    return RedisIndex(request.getfixturevalue("redis_url"), prefix=prefix)


@pytest.fixture
def ids():
    return [uuid.uuid4().hex for _ in range(3)]


def received(subscription, seconds: float = SOON_S):
    """Return the first Events that the subscription delivers within `seconds`."""
    end = time.monotonic() + seconds
    events = []
    while not events and time.monotonic() < end:
        events = subscription.wait(end - time.monotonic())
    return [(event.id, event.state) for event in events]


def receive_all(subscription, wanted: set):
    end = time.monotonic() + SOON_S
    events = set()
    while not wanted <= events and time.monotonic() < end:
        events.update(received(subscription))
    return events


def test_notes_are_collected_until_they_expire(index, ids):
    key = f"rs:notes:{{{ids[0]}}}"
    for word in ("one", "two", "one"):
        index.unconfirmed.add_note(key, word, ttl_s=1)
    end = time.monotonic() + SOON_S
    while index.unconfirmed.read_notes(key) != {"one", "two"}:
        assert time.monotonic() < end
        time.sleep(0.01)
    end = time.monotonic() + 3
    while index.unconfirmed.read_notes(key):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_claim_has_one_holder_until_it_expires(index, ids):
    key = f"rs:claim:{ids[0]}"
    gate = threading.Barrier(8)
    won = []

    def try_it(holder):
        gate.wait(timeout=10)
        if index.keys.claim(key, holder, ttl_s=1):
            won.append(holder)

    threads = [threading.Thread(target=try_it, args=(f"holder-{n}",)) for n in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(10)

    assert len(won) == 1
    assert index.keys.claim(key, won[0], ttl_s=1), "a lost answer must not cost the claim"
    assert not index.keys.claim(key, "another", ttl_s=1)
    end = time.monotonic() + SOON_S
    while not index.keys.claim(key, "another", ttl_s=60):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert not index.keys.claim(key, won[0], ttl_s=1)


def test_claiming_again_sets_a_new_lease(index, ids):
    key = f"rs:claim:{ids[0]}"
    assert index.keys.claim(key, "me", ttl_s=600)

    assert index.keys.claim(key, "me", ttl_s=1)

    end = time.monotonic() + SOON_S
    while not index.keys.claim(key, "another", ttl_s=60):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_many_results_are_loaded_in_order(index, ids):
    small, unknown, large = ids
    index.save(Result(id=small, state=State.SUCCESS, value=b"1"), ttl_s=60)
    index.save(Result(id=large, state=State.SUCCESS, value=b"v" * 5000), ttl_s=60)

    found = index.listing.load_many([large, unknown, small])

    assert [one and one.value for one in found] == [b"v" * 5000, None, b"1"]
    assert index.listing.load_many([]) == []
    peeked = index.listing.peek_many([large, unknown, small])
    assert peeked == [index.peek(one) for one in (large, unknown, small)]
    assert ([one and one.state for one in peeked], index.listing.peek_many([])) == (
        [State.SUCCESS, None, State.SUCCESS],
        [],
    )


def test_a_subscription_reports_its_start_then_each_change(index, ids):
    subscription = index.events.open_subscription()
    subscription.listen(ids[:2])
    assert receive_all(subscription, {(ids[0], ""), (ids[1], "")}) == {(ids[0], ""), (ids[1], "")}

    index.save(Result(id=ids[1], state=State.SUCCESS), ttl_s=60)
    index.save(Result(id=ids[2], state=State.SUCCESS), ttl_s=60)

    assert received(subscription) == [(ids[1], "SUCCESS")]
    assert subscription.wait(0.05) == []


def test_an_unsubscribed_id_is_silent(index, ids):
    subscription = index.events.open_subscription()
    subscription.listen(ids[:2])
    receive_all(subscription, {(ids[0], ""), (ids[1], "")})

    subscription.leave(ids[0])
    subscription.wait(0)
    index.save(Result(id=ids[0], state=State.SUCCESS), ttl_s=60)
    index.save(Result(id=ids[1], state=State.SUCCESS), ttl_s=60)

    assert received(subscription) == [(ids[1], "SUCCESS")]


def test_an_id_can_be_subscribed_again(index, ids):
    subscription = index.events.open_subscription()
    subscription.listen(ids[:1])
    received(subscription)
    subscription.leave(ids[0])
    subscription.listen(ids[:1])
    assert (ids[0], "") in receive_all(subscription, {(ids[0], "")})

    index.save(Result(id=ids[0], state=State.FAILURE), ttl_s=60)

    assert (ids[0], "FAILURE") in receive_all(subscription, {(ids[0], "FAILURE")})


def test_listening_wakes_an_idle_subscription(index, ids):
    subscription, came = index.events.open_subscription(), []
    waiter = threading.Thread(target=lambda: came.extend(received(subscription, 600)), daemon=True)
    waiter.start()
    time.sleep(0.1)

    subscription.listen(ids[:1])

    waiter.join(60)
    assert came == [(ids[0], "")]


def test_a_closed_subscription_is_silent(index, ids):
    subscription = index.events.open_subscription()
    subscription.listen(ids)
    receive_all(subscription, {(one, "") for one in ids})
    subscription.close()
    index.save(Result(id=ids[0], state=State.SUCCESS), ttl_s=60)
    assert subscription.wait(0.05) == []


def test_a_kept_key_exists_until_dropped(index):
    key = f"rs:test:{uuid.uuid4().hex}"
    assert index.keys.read(key) is None
    index.keys.keep(key, b"one", ttl_s=60)
    index.keys.keep(key, b"two", ttl_s=None)
    assert index.keys.read(key) == b"two"
    index.keys.drop(key)
    index.keys.drop(key)
    assert index.keys.read(key) is None


def test_many_keys_are_read_in_order(index):
    keys = [f"rs:test:{{{number}}}:{uuid.uuid4().hex}" for number in range(5)]
    for one in keys[::2]:
        index.keys.keep(one, one.encode(), ttl_s=60)

    assert index.keys.read_many(keys) == [keys[0].encode(), None, keys[2].encode(), None, keys[4].encode()]
    assert index.keys.read_many([]) == []


def test_a_kept_key_expires(index):
    key = f"rs:test:{uuid.uuid4().hex}"
    index.keys.keep(key, b"one", ttl_s=1)
    end = time.monotonic() + SOON_S
    while index.keys.read(key) is not None:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_prefixes_separate_two_indexes(redis_url, ids):
    first, second = RedisIndex(redis_url, prefix="first:"), RedisIndex(redis_url, prefix="second:")
    one = Result(id=ids[0], state=State.SUCCESS, value=b"v" * 500, owner=f"ann-{ids[0]}")

    assert first.save(one, ttl_s=60)
    assert second.save(one.moved("STARTED"), ttl_s=60, over=Overwrite.IF_ABSENT)
    first.keys.keep(ids[1], b"1", ttl_s=60)
    first.keys.run_script("return redis.call('SET', KEYS[1], ARGV[1], 'EX', 60)", keys=[ids[2]], args=["2"])

    assert first.load(ids[0]).state == "SUCCESS"
    assert second.load(ids[0]).state == "STARTED"
    assert list(first.listing.ids(owner=one.owner)) == [ids[0]]
    assert ids[0] in set(first.listing.ids(limit=100_000))
    assert sorted(key.decode() for key in first.client.scan_iter(f"*{ids[0]}*")) == sorted(
        f"{prefix}{key}"
        for prefix in ("first:", "second:")
        for key in (f"rs:{{{ids[0]}}}", f"rs:{{{ids[0]}}}:+", f"rs:owner:{{{one.owner}}}", f"rs:events:{{{one.owner}}}")
    )
    assert first.client.get(f"first:{ids[1]}") == b"1"
    assert first.client.get(f"first:{ids[2]}") == b"2"


def soon(question) -> object:
    end = time.monotonic() + SOON_S
    while not question():
        assert time.monotonic() < end
        time.sleep(0.01)
    return question()


def test_save_if_absent_replaces_nothing(index, ids):
    index.save(Result(id=ids[0], state=State.STARTED), ttl_s=60)
    for one in ids[:2]:
        index.unconfirmed.save_if_absent(Result(id=one), ttl_s=60)
    index.unconfirmed.save_if_absent(Result(id=ids[2]), ttl_s=None)
    assert soon(lambda: index.peek(ids[2])).state == "PENDING"
    assert [index.peek(one).state for one in ids[:2]] == ["STARTED", "PENDING"]


def test_save_if_absent_sets_an_expiry(redis_url, ids):
    index = RedisIndex(redis_url)
    index.unconfirmed.save_if_absent(Result(id=ids[1]), ttl_s=60)
    assert 0 < soon(lambda: index.client.ttl(f"rs:{{{ids[1]}}}") > 0 and index.client.ttl(f"rs:{{{ids[1]}}}")) <= 60


def test_unconfirmed_writes_survive_a_lost_connection(redis_url, ids):
    index = RedisIndex(redis_url)
    index.unconfirmed.save_if_absent(Result(id=ids[0]), ttl_s=60)
    soon(lambda: index.peek(ids[0]))
    index._client.current()._no_reply._connection._sock.close()
    for one in ids[1:]:
        index.unconfirmed.save_if_absent(Result(id=one), ttl_s=60)

    def again() -> object:
        index.unconfirmed.save_if_absent(Result(id=ids[2]), ttl_s=60)
        return index.peek(ids[2])

    assert soon(again)
    RedisIndex("redis://127.0.0.1:1").unconfirmed.save_if_absent(Result(id=ids[0]), ttl_s=60)


def test_a_prefix_with_a_brace_is_refused(redis_url):
    with pytest.raises(Misconfigured, match="brace"):
        RedisIndex(redis_url, prefix="{mine}")
