"""A reference lives as long as its message may wait, and a message's own owner is its owner."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from celery import Celery, Task
from celery.signals import before_task_publish

from resultstore.backends.celery import setup, store_of
from resultstore.backends.celery.testing import working
from resultstore.model.spill import Spill

DAY_S = 86_400
SLACK_S = 7 * DAY_S
LARGE = "v" * 30_000
OWNER = "resultstore_owner"
WAIT_S = 60


@pytest.fixture
def app() -> Celery:
    made = Celery("far", broker="memory://", backend="resultstore+memory://?blobs=memory://", set_as_current=False)
    made.conf.task_default_queue = "far"
    setup(made)

    @made.task(name="far.take", shared=False)
    def take(text: str) -> int:
        return len(text)

    return made


@pytest.fixture
def sent() -> Iterator[list[Spill]]:
    """The reference that each message carries."""
    carried: list[Spill] = []

    def note(body=None, **_: object) -> None:
        marked = body[0][0]
        if isinstance(marked, dict):
            carried.append(msgspec.convert(marked["__value__"], Spill))

    before_task_publish.connect(note, weak=False)
    yield carried
    before_task_publish.disconnect(note)


def in_days(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


@pytest.mark.parametrize(
    ("options", "days"),
    [
        ({}, 0),
        ({"eta": in_days(100)}, 100),
        ({"countdown": 100 * DAY_S}, 100),
        ({"expires": in_days(200)}, 200),
        ({"expires": 200 * DAY_S}, 200),
        ({"eta": in_days(40), "expires": in_days(90)}, 90),
        ({"eta": in_days(90), "expires": in_days(40)}, 90),
        ({"eta": in_days(60).astimezone(timezone(timedelta(hours=9)))}, 60),
    ],
    ids=["at once", "eta", "countdown", "expires", "expires in seconds", "both", "expires first", "eta elsewhere"],
)
def test_reference_lives_as_long_as_its_message(app: Celery, sent: list[Spill], options: dict[str, object], days: int):
    now = datetime.now(UTC).timestamp()
    app.tasks["far.take"].apply_async((LARGE,), **options)
    assert sent[0].expires_at >= now + days * DAY_S + SLACK_S - 60
    assert sent[0].key.startswith(f"blobs/{'365d' if days else '30d'}/")


def test_reference_beyond_every_class_is_kept(app: Celery, sent: list[Spill]):
    app.tasks["far.take"].apply_async((LARGE,), eta=in_days(400))
    assert (sent[0].expires_at, sent[0].key.startswith("blobs/keep/")) == (None, True)


def test_far_message_does_not_share_a_short_reference(app: Celery, sent: list[Spill]):
    take = app.tasks["far.take"]
    take.apply_async((LARGE,))
    take.apply_async((LARGE,), eta=in_days(100))
    take.apply_async((LARGE,))
    soon, late, again = sent
    assert soon.expires_at < late.expires_at == again.expires_at


def test_far_retry_and_handed_on_argument_live_longer(sent: list[Spill]):
    app = Celery("far", set_as_current=False)
    app.conf.update(result_backend="resultstore+memory://", task_default_queue="far-retry")
    setup(app)

    @app.task(bind=True, shared=False)
    def again(self: Task, text: str) -> int:
        raise self.retry(eta=in_days(100))

    @app.task(shared=False)
    def take(text: str) -> int:
        return len(text)

    @app.task(shared=False)
    def hands_on(text: str) -> str:
        return take.apply_async((text,), eta=in_days(200)).id

    now = datetime.now(UTC).timestamp()
    with working(app):
        retried = again.delay(LARGE)
        hands_on.delay(LARGE + "w").get(timeout=WAIT_S)
        assert retried.state == "RETRY"
    by_size = {size: [one for one in sent if one.size_bytes == size] for size in {one.size_bytes for one in sent}}
    (first, retry), (handed, on) = by_size[len(LARGE) + 2], by_size[len(LARGE) + 3]
    assert first.expires_at < now + 31 * DAY_S < now + 100 * DAY_S + SLACK_S - 60 <= retry.expires_at
    assert handed.expires_at < now + 31 * DAY_S < now + 200 * DAY_S + SLACK_S - 60 <= on.expires_at


def test_message_keeps_its_own_owner(sent: list[Spill]):
    app = Celery("far", set_as_current=False)
    app.conf.update(result_backend="resultstore+memory://", task_default_queue="far-owner")
    setup(app)

    @app.task(bind=True, shared=False)
    def whose(self: Task, text: str) -> str:
        return getattr(self.request, OWNER, "")

    @app.task(shared=False)
    def sends(text: str) -> list[str]:
        return [
            whose.apply_async((text + "1",), headers={OWNER: "bob"}).id,
            whose.apply_async((text + "22",)).id,
        ]

    with working(app):
        store = store_of(app)
        bobs, anns = sends.apply_async((LARGE,), headers={OWNER: "ann"}).get(timeout=WAIT_S)
        assert [app.AsyncResult(one).get(timeout=WAIT_S) for one in (bobs, anns)] == ["bob", "ann"]
        assert [store.load(one).owner for one in (bobs, anns)] == ["bob", "ann"]
        assert (list(store.ids(owner="bob")), anns in store.ids(owner="ann")) == ([bobs], True)
    assert [(one.size_bytes - len(LARGE) - 2, one.owner) for one in sent] == [(0, "ann"), (1, "bob"), (2, "ann")]


def test_large_value_keeps_the_owner_of_its_task():
    app = Celery("far", set_as_current=False)
    app.conf.update(result_backend="resultstore+memory://", task_default_queue="far-other")
    setup(app)

    @app.task(bind=True, shared=False)
    def speaks_of(self: Task, other: str) -> None:
        self.update_state(task_id=other, state="SUCCESS", meta=LARGE)

    with working(app):
        store = store_of(app)
        app.send_task("nobody.runs.this", task_id="of-bob", queue="nowhere", headers={OWNER: "bob"})
        speaks_of.apply_async(("of-bob",), headers={OWNER: "ann"}).get(timeout=WAIT_S)
        assert store.load("of-bob").owner == "bob"
        store.index.delete("of-bob")
        assert store.load("of-bob").owner == "bob"
        assert app.AsyncResult("of-bob").get(timeout=WAIT_S) == LARGE
