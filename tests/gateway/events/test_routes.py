"""The event stream: which changes a client receives, and which it does not."""

import time
import uuid

import httpx
import pytest

from resultstore.gateway.events import hub, viewer
from resultstore.gateway.views import ResultView
from resultstore.model import layout, record
from resultstore.model.artifact import Artifact
from resultstore.model.result import Failure, Progress, Result, State
from tests.gateway.events.conftest import SOON_S, about


def named(name: str) -> Artifact:
    return Artifact(
        id="a", name=name, file_name=name, key="k", etag="e", size_bytes=1, stored_bytes=1, media_type="t/t", sha256=""
    )


def test_stream_begins_with_newest_own_results(watched, owner, other):
    for n in range(3):
        watched.store.save(Result(id=f"mine-{n}", owner=owner, created_at=float(n + 1)))
    watched.store.save(Result(id="foreign", owner=other))

    reader = watched.reader(owner)

    assert reader.took(1) == [("snapshot", [("mine-2", "PENDING"), ("mine-1", "PENDING"), ("mine-0", "PENDING")])]
    assert reader.events[0].data["complete"] is True
    assert reader.answer.headers["content-type"].startswith("text/event-stream")
    assert reader.answer.headers["x-accel-buffering"] == "no"
    assert reader.answer.headers["cache-control"] == "no-store"


def test_snapshot_is_limited_to_200_results(watched, owner):
    for n in range(201):
        watched.store.save(Result(id=f"mine-{n}", owner=owner, created_at=float(n + 1)))

    (begin,) = watched.reader(owner).events

    assert [one["id"] for one in begin.data["items"]] == [f"mine-{n}" for n in range(200, 0, -1)]
    assert begin.data["complete"] is False


def test_state_changes_send_results_and_progress_sends_changes(watched, owner):
    reader = watched.reader(owner)
    one = Result(id="one", owner=owner, task="images.resize")

    for told in (
        one,
        one.moved(State.STARTED),
        one.moved(State.PROGRESS, progress=Progress(1, 4, "one of four")),
        one.moved(State.PROGRESS, progress=Progress(2, 4)),
        one.moved(State.PROGRESS, progress=Progress(2, 4), artifacts=(named("thumb"),)),
        one.moved(State.SUCCESS, artifacts=(named("thumb"), named("large"))),
    ):
        seen = len(reader.events)
        watched.store.save(told)
        reader.took(seen + 1)
    watched.store.delete("one")

    assert reader.took(8) == [
        ("snapshot", []),
        ("result", ("one", "PENDING")),
        ("result", ("one", "STARTED")),
        ("result", ("one", "PROGRESS")),
        ("change", ("one", 2)),
        ("result", ("one", "PROGRESS")),
        ("result", ("one", "SUCCESS")),
        ("removed", "one"),
    ]
    shown, changed, done = reader.events[3].data, reader.events[4].data, reader.events[6].data
    assert shown["progress"] == {"done": 1, "total": 4, "percent": 25, "note": "one of four"}
    assert changed["progress"] == {"done": 2, "total": 4, "percent": 50, "note": ""}
    assert changed["changed_at"] == pytest.approx(shown["changed_at"], abs=60)
    assert [part["name"] for part in done["artifacts"]] == ["thumb", "large"]
    assert done.keys() == ResultView.model_fields.keys()


def test_changes_of_other_owners_are_not_sent(watched, owner, other):
    mine, theirs = watched.reader(owner), watched.reader(other)

    watched.store.save(Result(id="theirs", owner=other))
    theirs.took(2)
    watched.store.delete("theirs")
    watched.store.save(Result(id="mine", owner=owner))

    assert theirs.took(3)[1:] == [("result", ("theirs", "PENDING")), ("removed", "theirs")]
    assert mine.took(2)[1:] == [("result", ("mine", "PENDING"))]


def test_only_admin_receives_unowned_results(watched, owner):
    watched.store.save(Result(id="old", created_at=2.0))
    mine, admin = watched.reader(owner), watched.reader(f"admin-{owner}")

    watched.store.save(Result(id="new"))
    admin.took(2)
    watched.store.delete("new")
    watched.store.save(Result(id="admins", owner=f"admin-{owner}"))
    watched.store.save(Result(id="mine", owner=owner))

    assert admin.took(4) == [
        ("snapshot", [("old", "PENDING")]),
        ("result", ("new", "PENDING")),
        ("removed", "new"),
        ("result", ("admins", "PENDING")),
    ]
    assert mine.took(2) == [("snapshot", []), ("result", ("mine", "PENDING"))]


def test_without_a_known_caller_nothing_is_streamed(watched):
    answer = httpx.get(f"{watched.url}/v1/events")
    assert answer.status_code == 401
    assert watched.hub.viewers == 0


def test_viewers_of_an_owner_share_record_reads(watched, owner, monkeypatch):
    readers = [watched.reader(owner) for _ in range(5)]
    asked, load_many = [], watched.store.load_many
    monkeypatch.setattr(watched.store, "load_many", lambda ids: asked.append(list(ids)) or load_many(ids))

    watched.store.save(Result(id="one", owner=owner, failure=Failure("E", "x" * 500), state=State.FAILURE))

    for reader in readers:
        assert reader.took(2)[1] == ("result", ("one", "FAILURE"))
    assert asked == [["one"]]


def test_reconnecting_client_receives_missed_changes(watched, owner):
    first = watched.reader(owner)
    watched.store.save(Result(id="one", owner=owner))
    first.took(2)
    watched.store.save(Result(id="two", owner=owner))
    watched.store.save(Result(id="one", owner=owner, state=State.SUCCESS))
    watched.store.delete("two")

    again = watched.reader(owner, last_id=first.events[1].id)
    watched.store.save(Result(id="three", owner=owner))

    assert again.took(3) == [
        ("result", ("one", "SUCCESS")),
        ("removed", "two"),
        ("result", ("three", "PENDING")),
    ]


def test_up_to_date_client_receives_only_new_changes(watched, owner):
    watched.store.save(Result(id="one", owner=owner))
    (begin,) = watched.reader(owner).events

    again = watched.reader(owner, last_id=begin.id)
    watched.store.save(Result(id="two", owner=owner))

    assert again.took(1) == [("result", ("two", "PENDING"))]


def test_reconnecting_admin_receives_unowned_results(watched):
    first = watched.reader("admin")
    watched.store.save(Result(id="mine", owner="admin"))
    first.took(2)
    watched.store.save(Result(id="unowned"))

    again = watched.reader("admin", last_id=first.events[1].id)

    assert again.took(1) == [("result", ("unowned", "PENDING"))]


@pytest.mark.parametrize("last_id", ["1-1", "0-0", "nonsense", "-", "٣-٤", "9" * 40, f"{1 << 64}-0", "5-0\t5-0"])
def test_unknown_position_causes_reset_and_snapshot(watched, owner, last_id):
    watched.store.save(Result(id="one", owner=owner))
    reader = watched.reader(owner, last_id=last_id.encode())
    assert reader.took(2) == [("reset", {}), ("snapshot", [("one", "PENDING")])]


def test_idle_stream_sends_heartbeats(watched, owner, monkeypatch):
    monkeypatch.setattr(viewer, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(hub, "_TICK_S", 0.05)
    watched.reader(owner).until(lambda one: one.comments >= 3)


def test_a_forged_event_shows_nothing_of_others(watched, owner, other):
    index = watched.store.index
    watched.store.save(Result(id="secret", owner=other, failure=Failure("E", "secret")))
    reader = watched.reader(owner)
    forged = record.encode_event(Result(id="secret", state=State.SUCCESS))

    key = index._names.prefix + layout.owner_stream_key(owner)
    at = index.client.xadd(key, {"e": forged})
    index.client.publish(index._names.prefix + layout.owner_channel(owner), at + b" " + forged)
    index.client.publish(index._names.prefix + layout.owner_channel(owner), b"\xff\xfe nonsense")
    watched.store.save(Result(id="mine", owner=owner))

    assert reader.took(2)[1] == ("result", ("mine", "PENDING"))
    again = watched.reader(owner, last_id=reader.events[0].id)
    assert "secret" not in str([about(one) for one in again.events])


def test_many_owners_receive_only_their_own_changes(watched):
    owners = [uuid.uuid4().hex for _ in range(20)]
    readers = {owner: watched.reader(owner) for owner in owners}
    for owner in owners:
        watched.store.save(Result(id=f"of-{owner}", owner=owner))
    for owner, reader in readers.items():
        assert reader.took(2)[1] == ("result", (f"of-{owner}", "PENDING"))


def test_streams_per_owner_are_limited(watched, owner, other):
    kept = [watched.reader(owner) for _ in range(20)]
    refused = httpx.get(f"{watched.url}/v1/events", headers={"Authorization": f"Bearer {owner}"})
    assert (refused.status_code, refused.json()["slug"]) == (429, "quota")
    assert int(refused.headers["retry-after"]) > 0
    assert watched.reader(other).took(1) == [("snapshot", [])]

    kept[0].leave()

    watched.store.save(Result(id="one", owner=owner))
    end = time.monotonic() + SOON_S
    while not is_let_in(watched, owner):
        assert time.monotonic() < end


def is_let_in(watched, owner) -> bool:
    with httpx.stream("GET", f"{watched.url}/v1/events", headers={"Authorization": f"Bearer {owner}"}) as answer:
        return answer.status_code == 200
