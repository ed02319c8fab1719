"""RedisLine: what only a real server can show."""

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


def until(line, wanted: tuple[str, str], seconds: float = SOON_S):
    end = time.monotonic() + seconds
    seen = []
    while time.monotonic() < end:
        seen += [(event.id, event.state) for event in line.wait(0.2)]
        if wanted in seen:
            return seen
    pytest.fail(f"{wanted} was not heard, only {seen}")


def channels(raw) -> list[bytes]:
    return raw.pubsub_channels()


def test_many_ids_are_asked_for_by_one_command(index, raw):
    line = index.events.open_subscription()
    raw.config_resetstat()
    line.listen([f"id-{n}" for n in range(500)])
    until(line, ("id-499", ""))
    assert raw.info("commandstats")["cmdstat_subscribe"]["calls"] == 1
    assert len(channels(raw)) == 500


def test_the_channel_of_an_id_that_was_left_is_gone(index, raw):
    line = index.events.open_subscription()
    line.listen(["a", "b"])
    until(line, ("b", ""))
    line.leave("a")
    end = time.monotonic() + SOON_S
    while channels(raw) != [b"rs:{b}!"]:
        assert time.monotonic() < end


def test_after_a_lost_connection_every_id_is_heard_again_and_said_to_be(index, raw):
    line = index.events.open_subscription()
    line.listen(["a", "b"])
    until(line, ("b", ""))

    raw.client_kill_filter(_type="pubsub")

    assert {("a", ""), ("b", "")} <= both(line)
    index.save(Result(id="a", state=State.SUCCESS), ttl_s=60)
    until(line, ("a", "SUCCESS"))


def both(line):
    seen = set()
    end = time.monotonic() + SOON_S
    while not {("a", ""), ("b", "")} <= seen and time.monotonic() < end:
        seen |= {(event.id, event.state) for event in line.wait(0.2)}
    return seen


def test_a_server_that_is_away_is_tried_again_and_listening_never_fails(index, private_redis):
    private_redis.stop()
    line = index.events.open_subscription()
    line.listen(["a"])
    assert line.wait(0.2) == []
    private_redis.start()
    until(line, ("a", ""))
    index.save(Result(id="a", state=State.SUCCESS), ttl_s=60)
    until(line, ("a", "SUCCESS"))


def test_others_listen_and_leave_while_one_waits(index, raw):
    line = index.events.open_subscription()
    line.listen(["first"])
    stop, errors, seen = threading.Event(), [], set()

    def wait():
        try:
            while not stop.is_set():
                seen.update(event.id for event in line.wait(0.05))
        except Exception as error:  # noqa: BLE001 - it is what the test looks for
            errors.append(error)

    def churn(name):
        for number in range(100):
            line.listen([f"{name}-{number}"])
            line.leave(f"{name}-{number}")

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


def test_a_garbage_collector_may_leave_in_the_midst_of_anything(index, raw):
    class Held:
        def __init__(self, name):
            self.name = name
            self.me = self  # only the collector finds it

        def __del__(self):
            line.leave(self.name)

    line = index.events.open_subscription()
    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for number in range(200):
            line.listen([f"id-{number}"])
            Held(f"id-{number}")
            line.wait(0)
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    end = time.monotonic() + SOON_S
    while channels(raw):
        assert time.monotonic() < end
        line.wait(0.01)


def test_a_health_check_is_not_taken_for_a_message(private_redis):
    index = RedisIndex(private_redis.url, options={"health_check_interval": 1})
    line = index.events.open_subscription()
    line.listen(["a"])
    until(line, ("a", ""))
    time.sleep(1.1)
    line.listen(["b"])
    until(line, ("b", ""))


def test_small_records_are_told_whole_and_artifacts_are_not(index):
    line = index.events.open_subscription()
    line.listen(["a"])
    until(line, ("a", ""))
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
        [event] = line.wait(SOON_S)
        main, beside = record.encode(saved)
        assert (event.record, event.beside) == ((main, beside or b"") if told else (b"", b""))


def test_an_early_word_reaches_who_listens_and_leaves_no_record(index, raw):
    line = index.events.open_subscription()
    line.listen(["a"])
    until(line, ("a", ""))
    spill = Spill(id="a", key="k", size_bytes=9, stored_bytes=8, sha256="0" * 64, media_type="application/json")
    index.events.announce_early("a", spill)
    [event] = line.wait(SOON_S)
    assert event.early == spill
    assert raw.keys() == []
