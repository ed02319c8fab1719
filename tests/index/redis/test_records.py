"""Redis driver, records: what a real server stores, its size and its expiry."""

import time
import uuid

import pytest
import redis

from resultstore.index.index import Overwrite
from resultstore.model import layout, record
from resultstore.model.errors import IndexUnavailable, RecordUnreadable
from resultstore.model.event import Event
from resultstore.model.result import Result, State

BUDGET_BYTES = 260


def test_a_small_result_takes_at_most_260_bytes(index, raw, record_property):
    count = 10_000
    index.save(Result(id="warm-up"), ttl_s=86_400)
    before = raw.info("memory")["used_memory"]
    now = time.time()
    for n in range(count):
        tiny = Result(
            id=str(uuid.uuid4()), state=State.SUCCESS, task="tasks.add", value=b'{"sum": %d}' % n, ephemeral=True,
            started_at=now + n, ended_at=now + n + 0.25, changed_at=now + n + 0.26,
        )  # fmt: skip
        assert index.save(tiny, ttl_s=86_400)
    each = (raw.info("memory")["used_memory"] - before) / count
    print(f"\n{each:.1f} bytes a record")  # noqa: T201  this test reports the figure
    record_property("record_bytes", each)
    assert raw.dbsize() == count + 1
    assert each <= BUDGET_BYTES


def test_a_record_expires_with_its_larger_parts(index, raw):
    index.save(Result(id="a", value=b"v" * 1000), ttl_s=60)
    assert 59_000 < raw.pttl("rs:{a}") <= 60_000
    assert 59_000 < raw.pttl("rs:{a}:+") <= 60_000


def test_larger_parts_of_a_replaced_record_are_removed(index, raw):
    index.save(Result(id="a", value=b"v" * 1000), ttl_s=60)
    index.save(Result(id="a", value=b"v"), ttl_s=60)
    assert raw.keys() == [b"rs:{a}"]


def test_a_deleted_result_leaves_no_key(index, raw):
    index.save(Result(id="a", value=b"v" * 1000), ttl_s=60)
    index.delete("a")
    assert raw.keys() == []


def test_a_partly_evicted_result_is_unknown(index, raw):
    index.save(Result(id="a", state=State.SUCCESS, value=b"v" * 1000), ttl_s=60)
    raw.delete("rs:{a}:+")
    assert index.load("a") is None
    assert index.peek("a").state == State.SUCCESS


def test_a_failed_write_is_not_announced(index, raw):
    with index.events.watch("a") as watch:
        raw.config_set("maxmemory", "1")
        with pytest.raises(IndexUnavailable, match="memory"):
            index.save(Result(id="a", state=State.SUCCESS), ttl_s=60)
        raw.config_set("maxmemory", "0")
        assert watch.wait(0.3) is None
        assert index.load("a") is None


def test_a_repeated_save_recognizes_its_own_record(index):
    lost = iter([redis.ConnectionError("the answer was lost on the way")])
    script = index._client.current().save

    def loses_its_first_answer(keys, args):
        answer = script(keys, args)
        for error in lost:
            raise error
        return answer

    index._client.current().save = loses_its_first_answer
    assert index.save(Result(id="a"), ttl_s=60, over=Overwrite.IF_ABSENT)
    assert next(lost, None) is None
    assert not index.save(Result(id="a"), ttl_s=60, over=Overwrite.IF_ABSENT)


def test_a_newer_record_is_refused_but_deletable(index, raw):
    raw.set("rs:{a}", bytes([0x93, layout.RECORD_FORMAT + 1, 127, 0]))
    with pytest.raises(RecordUnreadable, match=r"record of a .* upgrade"):
        index.load("a")
    assert not index.save(Result(id="a", state=State.FAILURE), ttl_s=60)
    index.delete("a")
    assert index.load("a") is None


def test_redis_and_python_agree_on_success():
    assert record.CODE_OF_STATE[State.SUCCESS] == record.SUCCESS_CODE
    assert record.encode(Result(id="a", state=State.SUCCESS))[0][2:3] == b"\x7f"


def test_owner_keys_outlive_their_longest_result(index, raw):
    for life_s in (60, 600, 60):
        index.save(Result(id=f"a{life_s}", owner="ann"), ttl_s=life_s)
        assert 0 < raw.pttl("rs:owner:{ann}") <= life_s * 1000 or life_s == 60
    assert 599_000 < raw.pttl("rs:owner:{ann}") <= 600_000
    assert 599_000 < raw.pttl("rs:events:{ann}") <= 600_000
    index.save(Result(id="kept", owner="ann"), ttl_s=None)
    index.save(Result(id="a60", owner="ann", state=State.SUCCESS), ttl_s=60)
    assert raw.pttl("rs:owner:{ann}") == raw.pttl("rs:events:{ann}") == -1
    events = [record.decode_event(fields[b"e"]) for _, fields in raw.xrange("rs:events:{ann}")]
    assert events[-2:] == [Event("kept", "PENDING"), Event("a60", "SUCCESS")]


def test_reading_an_owners_list_removes_expired_ids(index, raw):
    for n in range(500):
        index.save(Result(id=f"a{n}", owner="ann", created_at=float(n + 1)), ttl_s=60)
    for n in range(0, 500, 2):
        index.delete(f"a{n}")
    assert list(index.listing.ids(owner="ann", limit=1000)) == [f"a{n}" for n in range(499, 0, -2)]
    assert raw.zcard("rs:owner:{ann}") == 250


def test_a_key_of_another_type_is_no_result(index, raw):
    # given the list of open uploads, whose key looks like a record's, and an id that is listed and holds no record
    index.save(Result(id="a", owner="ann"), ttl_s=60)
    index.save(Result(id="odd", owner="ann"), ttl_s=60)
    raw.delete("rs:{odd}")
    raw.hset("rs:{odd}", "a", "b")
    raw.zadd(layout.OPEN_UPLOADS_KEY, {"an upload": 1})

    assert list(index.listing.ids()) == ["a"]
    assert list(index.listing.ids(owner="ann")) == ["a"]
