"""RedisSubscription: behaviour that needs a real server."""

import gc
import threading
import time

import pytest
import redis

from resultstore.index.redis.driver import RedisIndex
from resultstore.model import record
from resultstore.model.artifact import Artifact
from resultstore.model.result import Result, State
from resultstore.model.spill import Spill

SOON_S = 5.0


@pytest.fixture
def index(private_redis):
    return RedisIndex(private_redis.url)


@pytest.fixture
def raw(private_redis):
    with redis.Redis(port=private_redis.port) as client:
        yield client


def until(subscription, wanted: tuple[str, str], seconds: float = SOON_S):
    end = time.monotonic() + seconds
    seen = []
    while time.monotonic() < end:
        seen += [(event.id, event.state) for event in subscription.wait(0.2)]
        if wanted in seen:
            return seen
    pytest.fail(f"{wanted} was not received, only {seen}")


def channels(raw) -> list[bytes]:
    return raw.pubsub_channels()


def test_many_ids_are_subscribed_by_one_command(index, raw):
    subscription = index.events.open_subscription()
    raw.config_resetstat()
    subscription.listen([f"id-{n}" for n in range(500)])
    until(subscription, ("id-499", ""))
    assert raw.info("commandstats")["cmdstat_subscribe"]["calls"] == 1
    assert len(channels(raw)) == 500


def test_leaving_an_id_unsubscribes_its_channel(index, raw):
    subscription = index.events.open_subscription()
    subscription.listen(["a", "b"])
    until(subscription, ("b", ""))
    subscription.leave("a")
    end = time.monotonic() + SOON_S
    while channels(raw) != [b"rs:{b}!"]:
        assert time.monotonic() < end


def test_a_lost_connection_is_resubscribed_and_reported(index, raw):
    subscription = index.events.open_subscription()
    subscription.listen(["a", "b"])
    until(subscription, ("b", ""))

    raw.client_kill_filter(_type="pubsub")

    assert {("a", ""), ("b", "")} <= both(subscription)
    index.save(Result(id="a", state=State.SUCCESS), ttl_s=60)
    until(subscription, ("a", "SUCCESS"))


def both(subscription):
    seen = set()
    end = time.monotonic() + SOON_S
    while not {("a", ""), ("b", "")} <= seen and time.monotonic() < end:
        seen |= {(event.id, event.state) for event in subscription.wait(0.2)}
    return seen


def test_listening_never_fails_without_a_server(index, private_redis):
    private_redis.stop()
    subscription = index.events.open_subscription()
    subscription.listen(["a"])
    assert subscription.wait(0.2) == []
    private_redis.start()
    until(subscription, ("a", ""))
    index.save(Result(id="a", state=State.SUCCESS), ttl_s=60)
    until(subscription, ("a", "SUCCESS"))


def test_threads_listen_and_leave_during_a_wait(index, raw):
    subscription = index.events.open_subscription()
    subscription.listen(["first"])
    stop, errors, seen = threading.Event(), [], set()

    def wait():
        try:
            while not stop.is_set():
                seen.update(event.id for event in subscription.wait(0.05))
        except Exception as error:  # noqa: BLE001 - it is what the test looks for
            errors.append(error)

    def churn(name):
        for number in range(100):
            subscription.listen([f"{name}-{number}"])
            subscription.leave(f"{name}-{number}")

    waiter = threading.Thread(target=wait)
    churners = [threading.Thread(target=churn, args=(name,)) for name in "abcd"]
    for thread in (waiter, *churners):
        thread.start()
    for thread in churners:
        thread.join()
    index.save(Result(id="first", state=State.SUCCESS), ttl_s=60)
    end = time.monotonic() + SOON_S
    while channels(raw) != [b"rs:{first}!"] and time.monotonic() < end:
        time.sleep(0.01)
    stop.set()
    waiter.join()
    assert (errors, "first" in seen, channels(raw)) == ([], True, [b"rs:{first}!"])


def test_a_garbage_collector_can_leave_at_any_time(index, raw):
    class Held:
        def __init__(self, name):
            self.name = name
            self.me = self  # only the collector finds it

        def __del__(self):
            subscription.leave(self.name)

    subscription = index.events.open_subscription()
    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for number in range(200):
            subscription.listen([f"id-{number}"])
            Held(f"id-{number}")
            subscription.wait(0)
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    end = time.monotonic() + SOON_S
    while channels(raw):
        assert time.monotonic() < end
        subscription.wait(0.01)


def test_a_health_check_is_not_a_message(private_redis):
    index = RedisIndex(private_redis.url, options={"health_check_interval": 1})
    subscription = index.events.open_subscription()
    subscription.listen(["a"])
    until(subscription, ("a", ""))
    time.sleep(1.1)
    subscription.listen(["b"])
    until(subscription, ("b", ""))


def test_small_records_are_announced_without_artifacts(index):
    subscription = index.events.open_subscription()
    subscription.listen(["a"])
    until(subscription, ("a", ""))
    found = Artifact(
        id="a", name="x", file_name="x", key="k", etag="e", size_bytes=1, media_type="text/plain", sha256="0" * 64,
        stored_bytes=1, encoding="", retention="1d", expires_at=None,
    )  # fmt: skip
    whole = Result(id="a", state=State.SUCCESS, value=b"v" * 900)
    for saved, told in (
        (whole, True),
        (whole.moved(State.SUCCESS, value=b"v" * 1_024), False),
        (whole.moved(State.SUCCESS, value=b"v", artifacts=(found,)), False),
    ):
        index.delete("a")
        index.save(saved, ttl_s=60)
        [event] = subscription.wait(SOON_S)
        main, beside = record.encode(saved)
        assert (event.record, event.beside) == ((main, beside or b"") if told else (b"", b""))


def test_an_early_announcement_leaves_no_record(index, raw):
    subscription = index.events.open_subscription()
    subscription.listen(["a"])
    until(subscription, ("a", ""))
    spill = Spill(id="a", key="k", size_bytes=9, stored_bytes=8, sha256="0" * 64, media_type="application/json")
    index.events.announce_early("a", spill)
    [event] = subscription.wait(SOON_S)
    assert event.early == spill
    assert raw.keys() == []
