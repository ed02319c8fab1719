"""The Redis index: separate prefixes, and writes that wait for no answer."""

import time
import uuid

import pytest

from resultstore.index.index import Overwrite
from resultstore.index.redis import listing
from resultstore.index.redis.driver import RedisIndex
from resultstore.model.errors import Misconfigured
from resultstore.model.result import Result, State

SOON_S = 5.0


@pytest.fixture
def ids():
    return [uuid.uuid4().hex for _ in range(3)]


def soon(question) -> object:
    end = time.monotonic() + SOON_S
    while not question():
        assert time.monotonic() < end
        time.sleep(0.01)
    return question()


def test_prefixes_separate_two_indexes(redis_url, ids):
    first, second = RedisIndex(redis_url, prefix="first:"), RedisIndex(redis_url, prefix="second:")
    one = Result(id=ids[0], state=State.SUCCESS, value=b"v" * 600, owner=f"ann-{ids[0]}")

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


def test_a_prefix_with_a_brace_is_refused(redis_url):
    with pytest.raises(Misconfigured, match="brace"):
        RedisIndex(redis_url, prefix="{mine}")


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


def test_incomplete_scan_is_logged(index, raw, monkeypatch, caplog):
    raw.mset({f"rs:{{job-{n}}}": b"x" for n in range(5_000)})
    assert len(list(index.listing.ids(limit=10_000))) == 5_000
    assert "scan_incomplete" not in caplog.text

    monkeypatch.setattr(listing, "_SCAN_ROUNDS", 2)
    assert 0 < len(list(index.listing.ids(limit=10_000))) < 5_000
    assert "scan_incomplete" in caplog.text
