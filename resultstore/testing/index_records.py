"""Promises of Index: what each driver stores, for how long, and what may replace it."""

import time
from typing import Final

from resultstore.index.index import IdChecker, Index, Overwrite
from resultstore.model.artifact import Artifact
from resultstore.model.errors import BadReference
from resultstore.model.event import Event
from resultstore.model.layout import new_nonce
from resultstore.model.result import Failure, Progress, Result, State
from resultstore.testing.promises import SOON_S, at_once, new_id, raised, wait_until

UNFINISHED: Final = (State.PENDING, State.RECEIVED, State.STARTED, State.PROGRESS, State.RETRY, "PACKING")
TERMINAL: Final = (State.FAILURE, State.REVOKED, State.SUCCESS)


def implements_the_index_contract(index: Index) -> None:
    """A driver implements every method of Index."""
    assert isinstance(index, Index)


def returns_none_for_an_unknown_id(index: Index) -> None:
    """Load and peek: return None for an unknown id."""
    unknown = new_id()
    assert index.load(unknown) is None
    assert index.peek(unknown) is None


def loads_every_field_as_saved(index: Index) -> None:
    """load: returns every field as it was saved."""
    one = Result(id=new_id())
    artifact = Artifact(
        id=one.id, name="page", file_name="page.pdf", key="k", etag="e", size_bytes=9, media_type="application/pdf",
        sha256="ab", stored_bytes=9, expires_at=99, metadata={"pages": 3},
    )  # fmt: skip
    full = one.moved(
        State.FAILURE, task="tasks.add", owner="ann", value=b"v" * 5000, progress=Progress(1, 2, "half"),
        failure=Failure("ValueError", "m" * 5000, "builtins"), traceback="t" * 5000, artifacts=(artifact,),
        sealed=True, ephemeral=True, nonce=new_nonce(), created_at=1.25, started_at=2.5, ended_at=3.75,
        changed_at=time.time(), expires_at=2_000_000_000, worker="w@host", retries=2, extra=b"x" * 500,
    )  # fmt: skip
    assert index.save(full, ttl_s=60)
    assert index.load(full.id) == full


def peeks_without_large_fields(index: Index) -> None:
    """peek: leaves large fields out, and says which."""
    small = Result(id=new_id(), state=State.SUCCESS, value=b"4", task="tasks.add")
    index.save(small, ttl_s=60)
    assert index.peek(small.id) == small

    large = Result(id=new_id(), state=State.SUCCESS, value=b"v" * 5000, traceback="t")
    index.save(large, ttl_s=60)
    assert index.peek(large.id) == Result(id=large.id, state=State.SUCCESS, unread=frozenset({"value", "rest"}))
    assert index.load(large.id) == large


def never_overwrites_success(index: Index) -> None:
    """save: never replaces a readable SUCCESS."""
    for over in Overwrite:
        for later in (*UNFINISHED, *TERMINAL) if over is not Overwrite.UNREADABLE else ():
            one = Result(id=new_id(), state=State.SUCCESS, value=b"first")
            index.save(one, ttl_s=60)
            assert not index.save(one.moved(later, value=b"later"), ttl_s=60, over=over), f"{over} {later}"
            assert index.load(one.id) == one, f"{over} {later}"


def keeps_a_success_with_a_large_value(index: Index) -> None:
    """save: another large value does not replace that of a SUCCESS."""
    one = Result(id=new_id(), state=State.SUCCESS, value=b"a" * 500)
    index.save(one, ttl_s=60)
    assert not index.save(one.moved(State.SUCCESS, value=b"b" * 500), ttl_s=60)
    assert index.load(one.id) == one


def replaces_everything_but_success(index: Index) -> None:
    """save: a transition replaces every record but a SUCCESS."""
    for before in (*UNFINISHED, State.FAILURE, State.REVOKED):
        for after in (State.STARTED, State.FAILURE, State.SUCCESS, "PACKING"):
            one = Result(id=new_id(), state=before)
            index.save(one, ttl_s=60)
            assert index.save(one.moved(after, value=b"after"), ttl_s=60), f"{before} {after}"
            assert index.load(one.id) == one.moved(after, value=b"after"), f"{before} {after}"


def restores_over_unfinished_records(index: Index) -> None:
    """save: IF_UNFINISHED replaces an unfinished record."""
    for state in UNFINISHED:
        one = Result(id=new_id(), state=state)
        index.save(one, ttl_s=60)
        assert index.save(one.moved(State.SUCCESS, sealed=True), ttl_s=60, over=Overwrite.IF_UNFINISHED), state
        found = index.peek(one.id)
        assert found is not None
        assert found.sealed, state


def restores_over_no_terminal_record(index: Index) -> None:
    """save: IF_UNFINISHED does not replace a terminal record."""
    for state in TERMINAL:
        one = Result(id=new_id(), state=state)
        index.save(one, ttl_s=60)
        assert not index.save(one.moved(State.SUCCESS, sealed=True), ttl_s=60, over=Overwrite.IF_UNFINISHED), state
        found = index.peek(one.id)
        assert found is not None
        assert not found.sealed, state


def writes_every_save_without_a_record(index: Index) -> None:
    """save: is written whatever `over` says if there is no record."""
    for over in Overwrite:
        one = Result(id=new_id(), state=State.STARTED)
        assert index.save(one, ttl_s=60, over=over), over
        assert index.peek(one.id) == one, over


def announces_work_only_without_a_record(index: Index) -> None:
    """save: IF_ABSENT replaces nothing, not even an equal record."""
    for state in (*UNFINISHED, *TERMINAL):
        one = Result(id=new_id(), state=state)
        assert index.save(one, ttl_s=60, over=Overwrite.IF_ABSENT), state
        assert not index.save(one, ttl_s=60, over=Overwrite.IF_ABSENT), state
        assert not index.save(one.moved(State.PENDING, value=b"x"), ttl_s=60, over=Overwrite.IF_ABSENT), state
        assert index.load(one.id) == one, state


def saves_idempotently(index: Index) -> None:
    """save: a repeated save changes nothing and returns True again."""
    for over in (Overwrite.UNLESS_SUCCESS, Overwrite.IF_UNFINISHED):
        done = Result(id=new_id(), state=State.SUCCESS, value=b"v" * 500)
        assert index.save(done, ttl_s=60, over=over)
        assert index.save(done, ttl_s=60, over=over)
        assert index.load(done.id) == done


def lets_one_announcement_win(index: Index) -> None:
    """save: of many saves with IF_ABSENT at once exactly one is written."""
    one = Result(id=new_id())
    written = at_once(
        32, lambda n: index.save(one.moved(State.PENDING, worker=str(n)), ttl_s=60, over=Overwrite.IF_ABSENT)
    )
    assert written.count(True) == 1
    assert index.peek(one.id) == one.moved(State.PENDING, worker=str(written.index(True)))


def lets_success_win_a_race(index: Index) -> None:
    """save: of 16 transitions at once a SUCCESS wins."""
    for _ in range(10):
        one = Result(id=new_id())

        def attempt(n: int, one: Result = one) -> bool:
            return index.save(one.moved(State.FAILURE if n else State.SUCCESS, worker=str(n)), ttl_s=60)

        assert at_once(16, attempt)[0]
        assert index.load(one.id) == one.moved(State.SUCCESS, worker="0")


def lets_the_first_success_win(index: Index) -> None:
    """save: of 16 successes at once the first one wins."""
    one = Result(id=new_id())
    written = at_once(16, lambda n: index.save(one.moved(State.SUCCESS, worker=str(n)), ttl_s=60))
    assert written.count(True) == 1
    assert index.load(one.id) == one.moved(State.SUCCESS, worker=str(written.index(True)))


def expires_records_on_time(index: Index) -> None:
    """save: a record, small or large, expires after `ttl_s`; then the id is free."""
    for value in (b"small", b"v" * 500):
        one = Result(id=new_id(), state=State.SUCCESS, value=value)
        index.save(one, ttl_s=1)
        assert index.load(one.id) is not None
        wait_until(lambda one=one: index.load(one.id) is None, limit_s=2.0)  # type: ignore[misc]
        assert index.peek(one.id) is None
        assert index.save(one.moved(State.FAILURE), ttl_s=60, over=Overwrite.IF_ABSENT)


def removes_an_expired_record_at_once(index: Index) -> None:
    """save: a record whose `ttl_s` is over is gone at once."""
    one = Result(id=new_id())
    index.save(one, ttl_s=-5)
    wait_until(lambda: index.load(one.id) is None, limit_s=0.1)


def expires_by_the_last_save(index: Index) -> None:
    """save: the last save sets the expiry; None means never."""
    one = Result(id=new_id(), value=b"v" * 500)
    index.save(one, ttl_s=1)
    index.save(one.moved(State.STARTED), ttl_s=None)
    time.sleep(1.2)
    assert index.load(one.id) is not None


def deletes_a_record_twice(index: Index) -> None:
    """delete: deletes the whole record; a second call is no error; the id is free."""
    one = Result(id=new_id())
    index.save(one.moved(State.SUCCESS, value=b"v" * 500), ttl_s=60)
    index.delete(one.id)
    index.delete(one.id)
    assert index.load(one.id) is None
    assert index.save(one, ttl_s=60, over=Overwrite.IF_ABSENT)
    assert index.load(one.id) == one


def deletes_larger_parts_of_an_older_record(index: Index) -> None:
    """save: deletes the larger parts of the record that it replaces."""
    one = Result(id=new_id())
    index.save(one.moved(State.RETRY, traceback="old", value=b"v" * 500), ttl_s=60)
    index.save(one.moved(State.SUCCESS, value=b"4"), ttl_s=60)
    assert index.load(one.id) == one.moved(State.SUCCESS, value=b"4")


def refuses_an_invalid_nonce(index: Index) -> None:
    """save: raises BadReference, which names the id, for an invalid nonce, before any write."""
    one = Result(id=new_id())
    raised(BadReference, lambda: index.save(one.moved(State.SUCCESS, nonce="nope"), ttl_s=60), naming=one.id)
    assert index.load(one.id) is None


def takes_any_text_as_id(index: Index) -> None:
    """Any text may be an id and an owner, unless the driver's `check_id` refuses it: then save refuses it too."""
    for text in ("a b", "ünï/{x}", "}:+", "x" * 300):
        name = text + new_id()
        done = Result(id=name, state=State.SUCCESS, value=b"v" * 500, owner=name)
        if isinstance(index, IdChecker):
            try:
                index.check_id(name)
            except BadReference:
                raised(BadReference, lambda done=done: index.save(done, ttl_s=60))  # type: ignore[misc]
                continue
        with index.events.watch(name) as watch:
            assert index.save(done, ttl_s=60), name
            assert watch.wait(SOON_S) == Event(name, "SUCCESS"), name
        assert index.load(name) == done, name
        assert list(index.listing.ids(owner=name)) == [name]
        assert name in set(index.listing.ids(limit=1_000_000)), name
