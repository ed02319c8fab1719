"""Times: expiry counts from the attempt's start; lifetimes, polling intervals, rates of announcements."""

import time
from collections.abc import Mapping
from itertools import pairwise
from urllib.parse import parse_qs, urlsplit

import pytest

from resultstore import Settings, State, Store, connect
from resultstore.model import layout
from resultstore.model.errors import BlobStoreUnavailable, IndexUnavailable
from resultstore.model.result import Result
from resultstore.store import lookup as rules, miss_cache, waiting
from resultstore.store.attempt import Attempt, running

HOUR_S = 3_600
AHEAD_S = 5 * HOUR_S  # how far the store's clock is ahead of this machine's


@pytest.fixture
def tags(store: Store) -> dict[str, Mapping[str, str]]:
    """The tags of what was created or replaced, by key."""
    seen: dict[str, Mapping[str, str]] = {}

    def noting(plain):
        def call(key: str, body: bytes, *, tags: Mapping[str, str]):
            seen[key] = tags
            return plain(key, body, tags=tags)

        return call

    store.blobs.create, store.blobs.replace = noting(store.blobs.create), noting(store.blobs.replace)
    return seen


def saved_lives(store: Store) -> list[int | None]:
    """How long each record was given to live, in seconds."""
    lives: list[int | None] = []
    save = store.index.save

    def saving(result: Result, *, ttl_s: int | None, **options: object) -> bool:
        lives.append(ttl_s)
        return save(result, ttl_s=ttl_s, **options)

    store.index.save = saving
    return lives


def test_expiry_counts_from_start_by_store_clock(store: Store, monkeypatch: pytest.MonkeyPatch):
    # given
    monkeypatch.setattr(store.blobs, "now", lambda: time.time() + AHEAD_S)
    attempt = Attempt("job")
    attempt.started_at -= HOUR_S
    expected = time.time() + AHEAD_S - HOUR_S + 7 * layout.DAY_S

    # when
    with running(attempt):
        artifact = store.put(b"x", retention="7d")
    sealed = store.seal(attempt)

    # then
    assert abs(artifact.expires_at - expected) < 60
    assert abs(sealed.expires_at - expected) < 60
    assert abs(sealed.started_at - (time.time() + AHEAD_S - HOUR_S)) < 60


@pytest.mark.parametrize("classes", [["1d", "365d", "7d"], ["7d", "30d"], ["1d", "7d"]])
def test_seal_lives_as_long_as_its_longest_part(store: Store, tags, classes: list[str]):
    attempt = Attempt("job")
    with running(attempt):
        made = [store.put(b"x", name=one, retention=one) for one in classes]

    sealed = store.seal(attempt, value=b"v" * 60_000)

    longest = max(made, key=lambda artifact: artifact.expires_at)
    assert abs(sealed.expires_at - longest.expires_at) <= 1
    assert tags[layout.seal_key("job")] == {"rs-class": longest.retention}
    moved = {stored.key.split("/")[1] for stored in store.blobs.list("blobs/") if stored.size_bytes == 60_000}
    assert moved == {longest.retention}, "the value lives as long as the seal that names it"


def test_a_part_that_is_kept_keeps_its_seal(store: Store, tags):
    artifact = store.put(b"x", retention="keep", id="job")

    assert artifact.expires_at is None
    assert store.load("job").expires_at is None
    assert tags[layout.seal_key("job")] == {"rs-class": "keep"}


def test_a_tombstone_outlives_every_waiting_message(store: Store, tags):
    store.put(b"x", id="job")

    store.delete("job")

    assert tags[layout.seal_key("job")] == {"rs-class": store.settings.results.spill_keep}


def test_url_never_outlives_its_artifact(tmp_path):
    store = connect(Settings(index_url="memory://", blobs_url=f"file://{tmp_path}", url_expires_s=900))
    attempt = Attempt("job")
    attempt.started_at -= layout.DAY_S - 300
    with running(attempt):
        short = store.put(b"x", name="short", retention="1d")
        long = store.put(b"x", name="long", retention="7d")

    def left_s(url: str) -> float:
        numbers = [int(one) for values in parse_qs(urlsplit(url).query).values() for one in values if one.isdigit()]
        return max(numbers) - time.time()

    assert 599 < left_s(store.url(long)) <= 901
    assert 50 < left_s(store.url(long, expires_in_s=60)) <= 61
    assert 250 < left_s(store.url(short)) <= 301
    assert store.link(short).expires_at == short.expires_at


def test_record_expires_no_later_than_its_result(store: Store):
    lives = saved_lives(store)

    store.save(Result(id="plain", state=State.SUCCESS))
    store.save(Result(id="chosen", state=State.SUCCESS), ttl_s=77)
    store.save(Result(id="short", state=State.SUCCESS, expires_at=int(time.time()) + 100))
    store.save(Result(id="past", state=State.SUCCESS, expires_at=int(time.time()) - 100))

    assert lives[:2] == [store.settings.results.expires_s, 77]
    assert 98 <= lives[2] <= 100
    assert lives[3] == 1
    assert time.time() - store.load("plain").changed_at < 60


def test_unknown_id_is_retried_with_capped_backoff(store: Store, monkeypatch: pytest.MonkeyPatch):
    # given
    clock = [1_000.0]
    monkeypatch.setattr(rules.time, "monotonic", lambda: clock[0])
    asked_at: list[float] = []
    get = store.blobs.get
    store.blobs.get = lambda key, **options: asked_at.append(clock[0]) or get(key, **options)
    lookup = rules.Lookup(
        connect(Settings(index_url="memory://")).index, store._seals, store.signatures, settings=store.settings
    )

    # when
    for _ in range(4_000):
        lookup.find("nobody")
        clock[0] += 0.1

    # then
    pauses = [later - earlier for earlier, later in pairwise(asked_at)]
    assert all(want * 0.7 < got < want * 1.1 for want, got in zip([2, 4, 8, 16, 32, 60, 60], pauses, strict=False))
    assert len(pauses) >= 7


def test_the_memory_of_unknown_ids_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(miss_cache, "MISSES_KEPT", 5)
    for number in range(20):
        store.load(f"nobody-{number}")

    assert len(store._lookup._misses._until) == 5


def test_failure_during_seal_read_is_kept(store: Store):
    """Only SUCCESS is safe by itself: what is put back yields to every terminal state."""
    store.seal(Attempt("job"), value=b"1")
    get = store.blobs.get

    def slow(key: str, **options: int):
        store.index.save(Result(id="job", state=State.FAILURE), ttl_s=60)
        return get(key, **options)

    store.blobs.get = slow
    assert store.load("job").state == State.SUCCESS

    assert store.index.load("job").state == State.FAILURE


def test_sealed_result_is_found_without_restoring(store: Store):
    def down(*_: object, **__: object) -> None:
        raise IndexUnavailable("down")

    store.seal(Attempt("job"), value=b"1")
    store.index.save = down

    assert store.load("job").value == b"1"


def test_a_poll_reads_the_small_record_alone(store: Store):
    def forbidden(*_: object) -> None:
        raise AssertionError

    store.save(Result(id="job", state=State.SUCCESS, value=b"v" * 10_000))
    store.index.load = forbidden

    assert store.peek("job").state == State.SUCCESS


def test_result_between_check_and_wait_is_seen(store: Store, monkeypatch):
    """A waiter subscribes before it checks: what is announced in between would else cost a slow re-check."""
    monkeypatch.setattr(waiting, "RECHECK_S", 30.0)
    watch = store.index.events.watch

    def late(result_id: str):
        store.save(Result(id=result_id, state=State.SUCCESS))  # the moment before the subscription
        return watch(result_id)

    store.index.events.watch = late

    assert store.wait("job", timeout_s=5).state == State.SUCCESS


def test_waiter_retries_an_absent_index_then_raises(store: Store, monkeypatch: pytest.MonkeyPatch):
    watch, away = store.index.events.watch, [IndexUnavailable("1"), IndexUnavailable("2")]

    def blinking(result_id: str):
        if away:
            raise away.pop()
        return watch(result_id)

    def gone(_: str):
        raise IndexUnavailable("gone")

    store.save(Result(id="job", state=State.SUCCESS))
    store.index.events.watch = blinking
    assert store.wait("job", timeout_s=10).state == State.SUCCESS
    assert away == []

    monkeypatch.setattr(waiting, "UNAVAILABLE_LIMIT_S", 0.2)
    store.index.events.watch = gone
    with pytest.raises(IndexUnavailable, match="gone"):
        store.wait("job", timeout_s=10)


def test_waiting_for_no_time_gives_what_is_there(store: Store):
    store.save(Result(id="job", state=State.SUCCESS))

    assert store.wait("job", timeout_s=0).state == State.SUCCESS
    with pytest.raises(TimeoutError):
        store.wait("other", timeout_s=0)


def test_progress_is_throttled_but_ends_exact(store: Store, monkeypatch: pytest.MonkeyPatch):
    clock = [time.monotonic()]  # entries that are cached in between must not expire early
    lives = saved_lives(store)
    with running(Attempt("job")), monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: clock[0])
        for done in range(1_000):
            store.progress(done, 1_000)
            clock[0] += 0.001
        store.progress(1_000, 1_000, "done")
        for _ in range(50):
            store.progress(1)  # of an unknown total

    assert 10 <= len(lives) <= 13
    assert store.peek("job").progress.note == "done"


def test_blobs_that_cannot_be_discarded_are_no_failure(store: Store):
    def refuse(_: object) -> None:
        raise BlobStoreUnavailable("refused")

    first, second = Attempt("job"), Attempt("job")
    for attempt in [first, second]:
        with running(attempt):
            store.put(b"x")
    store.seal(first)
    store.blobs.delete = refuse

    assert store.seal(second).nonce == first.nonce
