"""Redis driver, connections: connecting, watching, and reconnecting to a real server."""

import os
import threading
import time
import traceback
import uuid
from contextlib import ExitStack

import pytest

from resultstore.index.redis.driver import RedisIndex
from resultstore.model import layout, record
from resultstore.model.errors import IndexUnavailable, Misconfigured
from resultstore.model.event import Event
from resultstore.model.result import Progress, Result, State

SOON_S = 5.0
LONG_S = 60.0  # a wait that is not ended lasts this long; one that is ended takes less than half of it on any machine


def test_a_thousand_watchers_share_one_connection(index, raw):
    ids = [f"id-{n}" for n in range(1000)]
    with ExitStack() as stack:
        watches = [stack.enter_context(index.events.watch(one)) for one in ids]
        assert len(raw.pubsub_channels()) == 1000
        assert len(raw.client_list(_type="pubsub")) == 1
        for one in ids:
            index.save(Result(id=one, state=State.SUCCESS), ttl_s=60)
        assert [watch.wait(SOON_S) for watch in watches] == [Event(one, "SUCCESS") for one in ids]
    assert raw.pubsub_channels() == []


def test_an_error_in_the_block_unsubscribes(index, raw):
    for _ in range(20):
        with pytest.raises(ZeroDivisionError), index.events.watch("a"):
            assert raw.pubsub_channels() == [layout.channel("a").encode()]
            raise ZeroDivisionError
        assert raw.pubsub_channels() == []


def test_a_hung_redis_delays_leaving_once(index, private_redis, monkeypatch):
    monkeypatch.setattr("resultstore.index.redis.watcher._UNSUBSCRIBE_TIMEOUT_S", 2.0)
    with ExitStack() as hanging:
        with ExitStack() as watches:
            for n in range(20):
                watches.enter_context(index.events.watch(f"id-{n}"))
            hanging.enter_context(private_redis.hung())
            began = time.monotonic()
        took_s = time.monotonic() - began
    assert took_s < 20  # twenty waits of 2 s each would take twice as long


def test_a_hundred_threads_can_watch_few_ids(index, raw):
    failures = []

    def come_and_go(n):
        for _ in range(20):
            with index.events.watch(f"id-{n % 3}") as watch:
                index.save(Result(id=f"id-{n % 3}", state=State.PROGRESS), ttl_s=60)
                if watch.wait(SOON_S) is None:
                    failures.append(n)

    threads = [threading.Thread(target=come_and_go, args=(n,)) for n in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert raw.pubsub_channels() == []


def test_an_idle_watcher_ends_thread_and_connection(index, raw, monkeypatch):
    monkeypatch.setattr("resultstore.index.redis.watcher._IDLE_S", 0.05)
    before = watcher_threads()
    with index.events.watch("a"):
        (thread,) = watcher_threads() - before
        assert len(raw.client_list(_type="pubsub")) == 1
    thread.join(SOON_S)
    assert not thread.is_alive()
    assert raw.client_list(_type="pubsub") == []
    with index.events.watch("a") as watch:
        index.save(Result(id="a"), ttl_s=60)
        assert watch.wait(SOON_S) == Event("a", "PENDING")


def test_a_waiter_checks_again_after_a_restart(index, private_redis):
    index.save(Result(id="a"), ttl_s=60)
    with index.events.watch("a") as watch:
        private_redis.stop()
        private_redis.start()
        began = time.monotonic()
        assert watch.wait(LONG_S) is None
        assert time.monotonic() - began < LONG_S / 2
        assert index.load("a") is None
        index.save(Result(id="a", state=State.SUCCESS), ttl_s=60)
        assert watch.wait(SOON_S) == Event("a", "SUCCESS")


def test_a_waiter_checks_again_after_a_disconnect(index, raw):
    with index.events.watch("a") as watch:
        assert raw.client_kill_filter(_type="pubsub") == 1
        began = time.monotonic()
        assert watch.wait(LONG_S) is None
        assert time.monotonic() - began < LONG_S / 2
        index.save(Result(id="a", state=State.SUCCESS), ttl_s=60)
        assert watch.wait(SOON_S) == Event("a", "SUCCESS")


def test_a_save_rides_out_a_short_restart(index, private_redis):
    index.save(Result(id="a"), ttl_s=60)
    private_redis.stop()
    starting = threading.Timer(0.5, private_redis.start)
    starting.start()
    assert index.save(Result(id="a", state=State.SUCCESS), ttl_s=60)
    starting.join()
    assert index.load("a").state == State.SUCCESS


@pytest.mark.parametrize("act", ["peek", "load", "save", "delete", "watch", "ids"])
def test_errors_name_the_server_without_its_password(private_redis, act, monkeypatch):
    monkeypatch.setattr("resultstore.index.redis.retrying._RETRY_BUDGET_S", 0.1)
    monkeypatch.setattr("resultstore.index.redis.watcher._SUBSCRIBE_TIMEOUT_S", 0.1)
    private_redis.stop()
    index = RedisIndex(f"redis://ann:S3cretWord@127.0.0.1:{private_redis.port}/0")
    with pytest.raises(IndexUnavailable, match=f"127.0.0.1:{private_redis.port}.*see that Redis runs") as caught:
        ask(index, act)
    assert "S3cretWord" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("act", ["peek", "watch"])
def test_an_absent_redis_fails_within_seconds(private_redis, act):
    private_redis.stop()
    began = time.monotonic()
    with pytest.raises(IndexUnavailable):
        ask(RedisIndex(private_redis.url), act)
    assert time.monotonic() - began < 5


def test_an_unresponsive_redis_is_named(private_redis, monkeypatch):
    monkeypatch.setattr("resultstore.index.redis.retrying._RETRY_BUDGET_S", 0.5)
    index = RedisIndex(f"{private_redis.url}?socket_timeout=0.3")
    with private_redis.hung(), pytest.raises(IndexUnavailable, match=f"127.0.0.1:{private_redis.port}"):
        index.peek("a")  # the server answers again only after the block


def test_a_wrong_password_is_not_retried(guarded_redis, monkeypatch):
    monkeypatch.setattr("resultstore.index.redis.retrying._RETRY_BUDGET_S", 3_600.0)
    for url in (guarded_redis.url, guarded_redis.url.replace("//", "//:Wr0ngWord@")):
        with pytest.raises(IndexUnavailable, match="password") as caught:
            RedisIndex(url).peek("a")
        assert "Wr0ngWord" not in "".join(traceback.format_exception(caught.value))
    index = RedisIndex(guarded_redis.url.replace("//", "//:Secr3t@"))
    with index.events.watch("a") as watch:
        index.save(Result(id="a"), ttl_s=60)
        assert watch.wait(SOON_S) == Event("a", "PENDING")


def test_a_unix_socket_works(private_redis, raw):
    index = RedisIndex(f"unix://{private_redis.unix_socket}?db=1")
    with index.events.watch("a") as watch:
        assert index.save(Result(id="a"), ttl_s=60)
        assert watch.wait(SOON_S) == Event("a", "PENDING")
    assert index.load("a") == Result(id="a")
    assert raw.dbsize() == 0
    raw.flushall()


def test_tls_loses_no_event_of_a_burst(tls_redis):
    index = RedisIndex(tls_redis.url)
    with index.events.watch("a") as watch:
        for n in range(200):
            index.save(Result(id="a", state="STATE", progress=Progress(n, note="n" * 1000)), ttl_s=60)
        heard = [watch.wait(SOON_S).progress.done for n in range(200)]
    assert heard == list(range(200))
    assert index.load("a").progress.done == 199


@pytest.mark.parametrize(
    "url", ["", "memory://", "http://h/0", "redis://:pa#S3cretWord@h/0", "redis://:S3cretWord@h:port/0", "unix://"]
)
def test_an_invalid_url_is_refused_without_its_password(url):
    with pytest.raises(Misconfigured, match="RESULTSTORE_INDEX_URL") as caught:
        RedisIndex(url)
    assert "S3cretWord" not in "".join(traceback.format_exception(caught.value))


def test_a_fork_opens_its_own_connections(index):
    index.save(Result(id="a", value=b"parent"), ttl_s=60)
    with index.events.watch("b") as watch:
        child = os.fork()
        if child == 0:
            os._exit(0 if works_in_a_child(index) else 1)
        for n in range(200):
            index.save(Result(id=f"p{n}", value=b"parent"), ttl_s=60)
            assert index.load(f"p{n}").value == b"parent"
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert watch.wait(SOON_S) == Event("b", "SUCCESS")


def test_foreign_messages_make_the_waiter_check_again(index, raw):
    with index.events.watch("a") as watch:
        raw.publish(layout.channel("a"), b"hello")
        began = time.monotonic()
        assert watch.wait(LONG_S) is None
        assert time.monotonic() - began < LONG_S / 2


def ask(index, act):
    if act == "save":
        index.save(Result(id="a"), ttl_s=60)
    elif act == "watch":
        with index.events.watch("a"):
            pass
    elif act == "ids":
        list(index.listing.ids())
    else:
        getattr(index, act)("a")


def works_in_a_child(index):
    for n in range(200):
        index.save(Result(id=f"c{n}", value=b"child"), ttl_s=60)
        if index.load(f"c{n}").value != b"child":
            return False
    with index.events.watch("c") as watch:
        index.save(Result(id="c"), ttl_s=60)
        heard = watch.wait(SOON_S)
    index.save(Result(id="b", state=State.SUCCESS), ttl_s=60)
    return heard == Event("c", "PENDING")


def watcher_threads():
    return {thread for thread in threading.enumerate() if thread.name == "resultstore-watcher"}


def test_an_unreadable_message_ends_no_watch(redis_url, monkeypatch):
    index, failures = RedisIndex(redis_url), []
    whole, one = record.decode_event, Result(id=uuid.uuid4().hex)

    def decode_event(message: bytes):
        if not failures:
            failures.append(message)
            raise ValueError("an unexpected error")
        return whole(message)

    monkeypatch.setattr(record, "decode_event", decode_event)
    with index.events.watch(one.id) as watch:
        index.save(one.moved(State.STARTED), ttl_s=60)
        assert watch.wait(30) is None, "it is to be looked at"
        index.save(one.moved(State.SUCCESS), ttl_s=60)
        assert watch.wait(30).state == "SUCCESS"

    with index.events.watch(one.id) as watch:
        index.save(one.moved(State.SUCCESS), ttl_s=60)
        assert watch.wait(30) is not None
