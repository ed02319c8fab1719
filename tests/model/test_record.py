"""Records: every field is read as it was written, in the specified bytes."""

import contextlib
from types import MappingProxyType

import msgspec
import pytest
from hypothesis import given, strategies as some

from resultstore.model import layout, record
from resultstore.model.artifact import Artifact
from resultstore.model.errors import BadReference, RecordUnreadable
from resultstore.model.event import Announcement, Event
from resultstore.model.result import Failure, Progress, Result, State
from resultstore.model.spill import Spill

TEXT = some.text(some.characters(codec="utf-8"), max_size=300)
TIMES = some.none() | some.floats(0, 4e9)
NUMBERS = some.floats(allow_nan=False)
SCALARS = some.none() | some.booleans() | some.integers(-(2**63), 2**64 - 1) | NUMBERS | TEXT
ARTIFACTS = some.builds(
    Artifact,
    id=TEXT, name=TEXT, file_name=TEXT, key=TEXT, etag=TEXT, size_bytes=some.integers(0, 2**63), media_type=TEXT,
    sha256=TEXT, stored_bytes=some.integers(0, 2**63), encoding=some.sampled_from(["", "zstd"]), retention=TEXT,
    expires_at=some.none() | some.integers(0, 2**40), metadata=some.dictionaries(TEXT, SCALARS, max_size=3),
)  # fmt: skip
ARTIFACT = Artifact(
    id="a", name="n", file_name="f", key="k", etag="e", size_bytes=1, media_type="m", sha256="s", stored_bytes=1
)  # fmt: skip
RESULTS = some.builds(
    Result,
    id=TEXT, state=some.sampled_from(State) | TEXT, task=TEXT, owner=TEXT, worker=TEXT,
    value=some.none() | some.binary(max_size=400), extra=some.binary(max_size=200),
    progress=some.none() | some.builds(Progress, done=NUMBERS, total=NUMBERS, note=TEXT),
    failure=some.none() | some.builds(Failure, type=TEXT, message=TEXT, module=TEXT), traceback=TEXT,
    artifacts=some.lists(ARTIFACTS, max_size=3).map(tuple), sealed=some.booleans(), ephemeral=some.booleans(),
    nonce=some.just("") | some.binary(min_size=16, max_size=16).map(bytes.hex),
    created_at=TIMES, started_at=TIMES, ended_at=TIMES, changed_at=TIMES,
    expires_at=some.none() | some.integers(0, 2**40), retries=some.integers(0, 2**31),
)  # fmt: skip


@given(RESULTS)
def test_result_is_read_as_it_was_written(result):
    main, beside = record.encode(result)
    assert record.decode(result.id, main, beside) == result


def test_record_has_a_place_for_every_field():
    full = Result(
        id="a", state="SUCCESS", task="t", owner="o", value=b"v", progress=Progress(1), failure=Failure("E", "m"),
        traceback="t", artifacts=(ARTIFACT,), sealed=True, ephemeral=True, nonce="ab" * 16, created_at=1.0,
        started_at=2.0, ended_at=3.0, changed_at=4.0, expires_at=5, worker="w", retries=1, extra=b"x", deleted=True,
    )  # fmt: skip
    empty = Result(id="a")
    left_out = {one for one in Result.__struct_fields__ if getattr(full, one) == getattr(empty, one)}
    assert left_out == {"id", "unread"}, "give a new field a value here"
    assert record.decode("a", *record.encode(full)) == full


@given(RESULTS)
def test_first_four_bytes_hold_format_state_and_flags(result):
    main, beside = record.encode(result)
    assert 0x93 <= main[0] <= 0x9F
    assert main[1] == layout.RECORD_FORMAT
    assert main[2] == record.state_code(main) == record.CODE_OF_STATE.get(result.state, 63)
    assert main[3] == result.sealed + 2 * result.ephemeral + 4 * (beside is not None)
    assert record.has_beside(main) == (beside is not None)


@given(RESULTS)
def test_event_is_read_as_it_was_announced(result):
    event = Event(result.id, result.state, result.progress, len(result.artifacts))
    assert record.decode_event(record.encode_event(result)) == event


@given(RESULTS)
def test_announcement_carries_the_record_and_its_beside_part(result):
    main, beside = record.encode(result)
    announced = record.encode_event(result, main=main, beside=beside)
    event = Event(result.id, result.state, result.progress, len(result.artifacts))
    assert record.decode_announcement(announced) == Announcement(*msgspec.structs.astuple(event), main, beside or b"")
    assert record.decode_event(announced) == event, "an older reader reads the first fields"


def test_announcement_names_the_blob_of_an_early_value():
    spill = Spill(id="a", key="k", size_bytes=9, stored_bytes=8, sha256="0" * 64, media_type="application/json")
    announced = record.encode_event(Result(id="a", state=State.STARTED), early=spill)
    assert record.decode_announcement(announced) == Announcement("a", "STARTED", early=spill)
    assert record.decode_event(announced) == Event("a", "STARTED")
    assert msgspec.msgpack.decode(announced)[6] == {
        "id": "a", "key": "k", "size_bytes": 9, "stored_bytes": 8, "sha256": "0" * 64, "media_type": "application/json"
    }  # fmt: skip


def test_terminal_states_have_the_highest_codes():
    terminal = {state for state, code in record.CODE_OF_STATE.items() if code >= record.FIRST_TERMINAL_CODE}
    assert terminal == {state for state in State if Result(id="a", state=state).terminal}
    assert max(record.CODE_OF_STATE, key=record.CODE_OF_STATE.__getitem__) == State.SUCCESS
    assert set(record.CODE_OF_STATE) == set(State)


def test_small_result_has_the_specified_bytes():
    result = Result(id="7f3a", state="SUCCESS", value=b"4", task="tasks.add", created_at=1.5, started_at=2.0)
    expected = (
        b"\x96\x01\x7f\x00"  # six elements, format 1, SUCCESS, no flags
        b"\x92\xcb\x3f\xf8\0\0\0\0\0\0\xcb\x40\0\0\0\0\0\0\0"  # created_at 1.5, started_at 2.0
        b"\xc4\x014"  # value
        b"\xa9tasks.add"
    )
    assert record.encode(result) == (expected, None)
    assert record.encode(Result(id="a"))[0] == b"\x93\x01\x00\x00"


def test_large_fields_lie_beside_the_record():
    failure = Failure("E", "m" * 300)
    big = Result(id="a", state="FAILURE", value=b"v" * 513, traceback="t", failure=failure, extra=b"x" * 513)
    main, beside = record.encode(big)
    assert len(main) < 16
    assert record.decode("a", main, None) == Result(
        id="a", state="FAILURE", unread=frozenset({"value", "extra", "rest"})
    )
    assert record.decode("a", main, beside) == big
    assert record.decode("a", main, beside) == big


def test_small_value_and_ids_of_a_workflow_stay_inside():
    small = Result(id="a", state="SUCCESS", value=b"v" * 512, extra=b"x" * 512)

    main, beside = record.encode(small)

    assert beside is None
    assert record.decode("a", main, None) == small


def test_earlier_writers_limits_are_read():
    """Earlier versions moved values over 128 bytes and extras over 64: a reader takes them from where they are."""
    value, extra = b"v" * 129, b"x" * 65
    main = bytes([0x93, record.RECORD_FORMAT, 127, 4 | 8 | 16])

    assert record.decode("a", main, msgspec.msgpack.encode({"value": value, "extra": extra})) == Result(
        id="a", state="SUCCESS", value=value, extra=extra
    )


def test_stale_beside_part_is_not_read():
    main, _ = record.encode(Result(id="a", state="SUCCESS", value=b"new"))
    _, stale = record.encode(Result(id="a", state="SUCCESS", value=b"o" * 600, traceback="old"))
    assert record.decode("a", main, stale) == Result(id="a", state="SUCCESS", value=b"new")


def test_read_only_metadata_is_written_like_a_dict():
    artifact = msgspec.structs.replace(ARTIFACT, metadata=MappingProxyType({"width": 3}))
    loaded = record.decode("a", *record.encode(Result(id="a", artifacts=(artifact,))))
    assert loaded.artifacts[0].metadata == {"width": 3}


def test_lone_surrogates_are_escaped():
    wild = Result(id="a", traceback="\ud800t", failure=Failure("E", "\udcffm"), progress=Progress(1, 2, "\udc80n"))
    loaded = record.decode("a", *record.encode(wild))
    assert (loaded.traceback, loaded.failure.message, loaded.progress.note) == ("\\ud800t", "\\udcffm", "\\udc80n")
    assert record.decode_event(record.encode_event(wild)).progress.note == "\\udc80n"


def test_record_of_newer_format_is_refused():
    newer = bytes([0x93, layout.RECORD_FORMAT + 1, 127, 0])
    with pytest.raises(RecordUnreadable, match=r"record of 7f3a has format 2 .* upgrade resultstore"):
        record.decode("7f3a", newer, None)


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"\x93",
        b"{json}",
        b"\x93\x01\x46\x00",
        b"\x96\x01\x7f\x00",
        b"\x94\x01\0\0\xc3",
        b"\x96\x01\0\0\x90\xc0\xa1\xff",
    ],
)
def test_damaged_record_is_refused(junk):
    with pytest.raises(RecordUnreadable, match=r"record of 7f3a is damaged .* delete it"):
        record.decode("7f3a", junk, None)


@given(some.binary(max_size=60))
def test_no_bytes_raise_another_error(junk):
    with contextlib.suppress(RecordUnreadable):
        record.decode("7f3a", b"\x9f\x01\x7f" + junk, junk)


def test_damaged_beside_part_is_refused():
    main, beside = record.encode(Result(id="a", traceback="t"))
    with pytest.raises(RecordUnreadable, match="record of a is damaged"):
        record.decode("a", main, beside[:-1])


def test_elements_of_later_versions_are_ignored():
    main, _ = record.encode(Result(id="a", extra=b"x"))
    longer = msgspec.msgpack.encode([*msgspec.msgpack.decode(main), "new"])
    assert record.decode("a", longer, None) == Result(id="a", extra=b"x")


@pytest.mark.parametrize("nonce", ["xyz", "AB" * 16, "a b", "abcd"])
def test_nonce_that_is_not_hex_is_refused(nonce):
    with pytest.raises(BadReference, match="result a has the nonce"):
        record.encode(Result(id="a", nonce=nonce))


def test_bytes_without_an_event_give_none():
    assert record.decode_event(b"hello") is None
