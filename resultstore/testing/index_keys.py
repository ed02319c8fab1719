"""Promises of Keys and UnconfirmedWrites: small bytes under the caller's own keys, and writes that may be lost."""

import threading

from resultstore.index.index import Index
from resultstore.model.result import Result, State
from resultstore.testing.promises import at_once, new_id, wait_until


def claims_for_one_holder(index: Index) -> None:
    """claim: of several holders one has a key until its lease ends; claiming again renews the own lease."""
    key = f"rs:claim:{new_id()}"
    lock, won = threading.Lock(), []

    def attempt(n: int) -> None:
        if index.keys.claim(key, f"holder-{n}", ttl_s=1):
            with lock:
                won.append(f"holder-{n}")

    at_once(8, attempt)

    assert len(won) == 1
    assert index.keys.claim(key, won[0], ttl_s=1), "a lost answer must not cost the claim"
    assert not index.keys.claim(key, "another", ttl_s=1)
    wait_until(lambda: index.keys.claim(key, "another", ttl_s=60))
    assert not index.keys.claim(key, won[0], ttl_s=1)


def sets_a_new_lease_at_each_claim(index: Index) -> None:
    """claim: claiming again sets a new lease, also a shorter one."""
    key = f"rs:claim:{new_id()}"
    assert index.keys.claim(key, "me", ttl_s=600)

    assert index.keys.claim(key, "me", ttl_s=1)

    wait_until(lambda: index.keys.claim(key, "another", ttl_s=60))


def keeps_a_key_until_dropped(index: Index) -> None:
    """keep, read and drop: a kept key is replaced by the next, and exists until it is dropped."""
    key = f"rs:test:{new_id()}"
    assert index.keys.read(key) is None
    index.keys.keep(key, b"one", ttl_s=60)
    index.keys.keep(key, b"two", ttl_s=None)
    assert index.keys.read(key) == b"two"
    index.keys.drop(key)
    index.keys.drop(key)
    assert index.keys.read(key) is None


def reads_many_keys_in_order(index: Index) -> None:
    """read_many: returns what read returns for each key, in order."""
    names = [f"rs:test:{{{number}}}:{new_id()}" for number in range(5)]
    for one in names[::2]:
        index.keys.keep(one, one.encode(), ttl_s=60)

    assert index.keys.read_many(names) == [names[0].encode(), None, names[2].encode(), None, names[4].encode()]
    assert index.keys.read_many([]) == []


def expires_a_kept_key(index: Index) -> None:
    """keep: a key expires after `ttl_s`."""
    key = f"rs:test:{new_id()}"
    index.keys.keep(key, b"one", ttl_s=1)
    wait_until(lambda: index.keys.read(key) is None)


def collects_notes_until_they_expire(index: Index) -> None:
    """add_note and read_notes: notes under a key are a set, which expires after `ttl_s`."""
    key = f"rs:notes:{{{new_id()}}}"
    for note in ("one", "two", "one"):
        index.unconfirmed.add_note(key, note, ttl_s=1)
    wait_until(lambda: index.unconfirmed.read_notes(key) == {"one", "two"})
    wait_until(lambda: not index.unconfirmed.read_notes(key))


def saves_if_absent(index: Index) -> None:
    """save_if_absent: writes the record if there is none, and replaces nothing."""
    names = [new_id() for _ in range(3)]
    index.save(Result(id=names[0], state=State.STARTED), ttl_s=60)
    for one in names[:2]:
        index.unconfirmed.save_if_absent(Result(id=one), ttl_s=60)
    index.unconfirmed.save_if_absent(Result(id=names[2]), ttl_s=None)
    wait_until(lambda: index.peek(names[2]) is not None and index.peek(names[1]) is not None)
    assert [one and one.state for one in index.listing.peek_many(names)] == ["STARTED", "PENDING", "PENDING"]
