"""Leases: bounded membership, on either index."""

import threading
import time
import uuid

import pytest

from resultstore.index.due_list import DueList
from resultstore.index.leases import Leases
from resultstore.index.redis.driver import RedisIndex


@pytest.fixture
def leases(index):
    return Leases(index)


@pytest.fixture
def key():
    return f"rs:quota:{{{uuid.uuid4().hex}}}:tickets"


def test_no_more_members_than_allowed(leases, key):
    given = [leases.take(key, f"m{number}", ttl_s=60, most=3) for number in range(5)]

    assert given == [True, True, True, False, False]


def test_taking_again_counts_once(leases, key):
    assert all(leases.take(key, "m", ttl_s=60, most=1) for _ in range(3))
    assert not leases.take(key, "other", ttl_s=60, most=1)


def test_a_released_lease_can_be_taken(leases, key):
    leases.take(key, "m", ttl_s=60, most=1)

    leases.release(key, "m")
    leases.release(key, "never there")

    assert leases.take(key, "other", ttl_s=60, most=1)


def test_a_lease_expires(leases, key):
    leases.take(key, "m", ttl_s=0.05, most=1, weight=7)

    until = time.monotonic() + 5
    while not leases.take(key, "other", ttl_s=60, most=1):
        assert time.monotonic() < until
        time.sleep(0.02)

    assert leases.members(key) == {"other": 0}


def test_members_are_returned_with_their_weights(leases, key):
    leases.take(key, "a", ttl_s=60, most=3, weight=10)
    leases.take(key, "b", ttl_s=60, most=3, weight=2**40)

    assert leases.members(key) == {"a": 10, "b": 2**40}
    assert leases.members(key + "x") == {}


def test_racing_members_never_exceed_the_limit(leases, key):
    won = []

    def race(number):
        if leases.take(key, f"m{number}", ttl_s=60, most=5):
            won.append(number)

    threads = [threading.Thread(target=race, args=(number,)) for number in range(20)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert len(won) == 5


@pytest.mark.parametrize("harm", ["set", "hash", "member", "weight"])
def test_foreign_keys_do_not_block_leases(redis_url, key, harm):
    index = RedisIndex(redis_url)
    leases = Leases(index)
    leases.take(key, "mine", ttl_s=60, most=9, weight=7)
    if harm in {"set", "hash"}:
        index.client.set(key if harm == "set" else key + ":weights", "theirs")
    else:
        index.client.hset(key + ":weights", b"\xff" if harm == "member" else "theirs", 1 if harm == "member" else "x")

    assert leases.take(key, "again", ttl_s=60, most=9, weight=3)
    assert leases.members(key)["again"] == 3


def test_a_claim_replaces_a_foreign_key(redis_url, key):
    index = RedisIndex(redis_url)
    index.client.rpush(key, "theirs")

    assert index.keys.claim(key, "me", ttl_s=60)
    assert not index.keys.claim(key, "another", ttl_s=60)


def test_a_due_list_replaces_a_foreign_key(redis_url, key):
    index = RedisIndex(redis_url)
    due = DueList(index, key)
    index.client.set(key, "theirs")

    due.add("a", after_s=-5)

    assert due.read_due(count=9) == ["a"]
