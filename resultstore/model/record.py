"""Record: the written form of a Result in the index, as docs/format.md specifies it byte by byte."""

from collections.abc import Mapping
from typing import Final

import msgspec

from resultstore.model.artifact import Artifact
from resultstore.model.errors import BadReference, RecordUnreadable
from resultstore.model.event import Announcement, Event
from resultstore.model.layout import RECORD_FORMAT
from resultstore.model.result import Failure, Progress, Result, State
from resultstore.model.seal import DELETED
from resultstore.model.spill import Spill

# The third byte of every record. From 64 on a state is terminal, 127 is never replaced: save.lua compares no more.
CODE_OF_STATE: Final[Mapping[str, int]] = {
    State.PENDING: 0,
    State.RECEIVED: 1,
    State.STARTED: 2,
    State.PROGRESS: 3,
    State.RETRY: 4,
    State.REVOKED: 64,
    State.FAILURE: 65,
    State.SUCCESS: 127,
}
FIRST_TERMINAL_CODE: Final = 64
SUCCESS_CODE: Final = 127
_CUSTOM_CODE: Final = 63
_STATE_OF_CODE: Final = {code: state for state, code in CODE_OF_STATE.items()}

_SEALED, _EPHEMERAL, _BESIDE, _VALUE_BESIDE, _EXTRA_BESIDE, _DELETED = 1, 2, 4, 8, 16, 32
_EVENT_LEAST: Final = 3  # an Event has its progress, be it none
_STATE_AT, _FLAGS_AT, _HEAD_BYTES, _NONCE_BYTES = 2, 3, 4, 16

# A second key costs Redis about 150 bytes, so small things are cheaper inside; a poll should stay one small read.
VALUE_INSIDE_MAX_BYTES: Final = 128
EXTRA_INSIDE_MAX_BYTES: Final = 64
FAILURE_INSIDE_MAX_BYTES: Final = 256


class _Times(msgspec.Struct, frozen=True, array_like=True):
    created_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    changed_at: float | None = None
    expires_at: int | None = None


class _Record(msgspec.Struct, frozen=True, array_like=True):
    format: int
    state: int
    flags: int
    times: _Times = _Times()
    value: bytes | None = None
    task: str = ""
    nonce: bytes = b""
    owner: str = ""
    worker: str = ""
    retries: int = 0
    progress: Progress | None = None
    failure: Failure | None = None
    state_name: str = ""
    extra: bytes = b""


class _SideFields(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    value: bytes | None = None
    failure: Failure | None = None
    traceback: str = ""
    artifacts: tuple[Artifact, ...] = ()
    extra: bytes = b""


_DEFAULTS: Final[tuple[object, ...]] = ([], None, "", b"", "", "", 0, None, None, "", b"")
_NOTHING_BESIDE: Final = _SideFields()
_NOT_OURS: Final = (msgspec.MsgspecError, UnicodeDecodeError)  # msgspec lets the second through
_READ_RECORD: Final = msgspec.msgpack.Decoder(_Record)
_READ_BESIDE: Final = msgspec.msgpack.Decoder(_SideFields)
_READ_EVENT: Final = msgspec.msgpack.Decoder(Event)
_READ_ANNOUNCEMENT: Final = msgspec.msgpack.Decoder(Announcement)


def encode(result: Result) -> tuple[bytes, bytes | None]:
    """The record of `result` and what stands beside it, or None where nothing is too big for the record.

    Raises BadReference when the nonce is not 32 hex digits.
    """
    result = _printable(result)
    beside = _too_big(result)
    record = [
        RECORD_FORMAT,
        CODE_OF_STATE.get(result.state, _CUSTOM_CODE),
        _flags(result, beside),
        _trimmed([result.created_at, result.started_at, result.ended_at, result.changed_at, result.expires_at]),
        None if beside.value is not None else result.value,
        result.task,
        _raw_nonce(result),
        result.owner,
        result.worker,
        result.retries,
        result.progress,
        None if beside.failure is not None else result.failure,
        "" if result.state in CODE_OF_STATE else result.state,
        b"" if beside.extra else result.extra,
    ]
    packed = msgspec.msgpack.encode(_without_defaults(record))
    return packed, None if beside == _NOTHING_BESIDE else msgspec.msgpack.encode(beside, enc_hook=_plain_mapping)


def decode(result_id: str, record: bytes, beside: bytes | None) -> Result:
    """The Result that was written; fields that lie beside are left at their defaults where `beside` is None.

    Raises RecordUnreadable when the bytes are damaged or of a newer format.
    """
    _check_head(result_id, record)
    try:
        main = _READ_RECORD.decode(record)
        aside = _READ_BESIDE.decode(beside) if beside is not None and has_beside(record) else _NOTHING_BESIDE
    except _NOT_OURS as error:
        raise RecordUnreadable(_damaged(result_id, str(error))) from error
    return Result(
        id=result_id,
        state=_state_name(result_id, main),
        task=main.task,
        owner=main.owner,
        value=main.value if aside.value is None else aside.value,
        progress=main.progress,
        failure=aside.failure or main.failure,
        traceback=aside.traceback,
        artifacts=aside.artifacts,
        sealed=bool(main.flags & _SEALED),
        ephemeral=bool(main.flags & _EPHEMERAL),
        nonce=main.nonce.hex(),
        created_at=main.times.created_at,
        started_at=main.times.started_at,
        ended_at=main.times.ended_at,
        changed_at=main.times.changed_at,
        expires_at=main.times.expires_at,
        worker=main.worker,
        retries=main.retries,
        extra=aside.extra or main.extra,
        deleted=bool(main.flags & _DELETED),
        unread=_unread(main.flags) if beside is None else frozenset(),
    )


def has_beside(record: bytes) -> bool:
    """Whether a part of this Result lies under `layout.beside_key`: without that part the Result is not whole."""
    return len(record) >= _HEAD_BYTES and bool(record[_FLAGS_AT] & _BESIDE)


def state_code(record: bytes) -> int:
    """The third byte: the state's code, comparable without decoding (`FIRST_TERMINAL_CODE`, `SUCCESS_CODE`).

    0 for what is too short to be a record.
    """
    return record[_STATE_AT] if len(record) >= _HEAD_BYTES else 0


def is_tombstone(record: bytes) -> bool:
    """Whether this record says that its Result was deleted: told without decoding, as save.lua tells it."""
    begins_as_one = len(record) >= _HEAD_BYTES and record[0] & 0xF0 == 0x90  # noqa: PLR2004  as in `_check_head`
    return begins_as_one and record[_STATE_AT] == CODE_OF_STATE[State.REVOKED] and bool(record[_FLAGS_AT] & _DELETED)


def is_live(head: bytes) -> bool:
    """Whether these first bytes of a record are those of one, and of no tombstone."""
    return bool(head) and not is_tombstone(head)


def encode_event(
    result: Result, *, main: bytes = b"", beside: bytes | None = None, early: Spill | None = None
) -> bytes:
    """The announcement of `result`: the Event that watchers of its id receive, with what more of an Announcement."""
    result = _printable(result)
    state = DELETED if result.deleted else str(result.state)
    said = [result.id, state, result.progress, len(result.artifacts), main, beside or b"", early]
    while not said[-1] and len(said) > _EVENT_LEAST:
        said.pop()
    return msgspec.msgpack.encode(said)


def decode_event(announcement: bytes) -> Event | None:
    """The Event in `announcement`, or None when it is not one of ours: events are hints, the caller checks anyway."""
    try:
        return _READ_EVENT.decode(announcement)
    except _NOT_OURS:
        return None


def decode_announcement(announcement: bytes) -> Announcement | None:
    """The same, with the record where it was sent along."""
    try:
        return _READ_ANNOUNCEMENT.decode(announcement)
    except _NOT_OURS:
        return None


def _too_big(result: Result) -> _SideFields:
    value_fits = result.value is None or len(result.value) <= VALUE_INSIDE_MAX_BYTES
    failure_fits = result.failure is None or len(msgspec.msgpack.encode(result.failure)) <= FAILURE_INSIDE_MAX_BYTES
    return _SideFields(
        value=None if value_fits else result.value,
        failure=None if failure_fits else result.failure,
        traceback=result.traceback,
        artifacts=result.artifacts,
        extra=b"" if len(result.extra) <= EXTRA_INSIDE_MAX_BYTES else result.extra,
    )


def _flags(result: Result, beside: _SideFields) -> int:
    flags = _SEALED if result.sealed else 0
    flags |= _EPHEMERAL if result.ephemeral else 0
    flags |= _DELETED if result.deleted else 0
    if beside == _NOTHING_BESIDE:
        return flags
    value = 0 if beside.value is None else _VALUE_BESIDE
    return flags | _BESIDE | value | (_EXTRA_BESIDE if beside.extra else 0)


def _unread(flags: int) -> frozenset[str]:
    """What a reader of the record alone has not seen: it need not fetch a large value to learn what is small."""
    parts = {"rest": _BESIDE, "value": _VALUE_BESIDE, "extra": _EXTRA_BESIDE}
    return frozenset(name for name, bit in parts.items() if flags & bit)


def _without_defaults(record: list[object]) -> list[object]:
    always = len(record) - len(_DEFAULTS)
    end = len(record)
    while end > always and record[end - 1] == _DEFAULTS[end - 1 - always]:
        end -= 1
    return record[:end]


def _trimmed(times: list[float | None]) -> list[float | None]:
    while times and times[-1] is None:
        times.pop()
    return times


def _raw_nonce(result: Result) -> bytes:
    try:
        raw = bytes.fromhex(result.nonce)
    except ValueError:
        raw = b""
    if raw.hex() != result.nonce or len(raw) not in (0, _NONCE_BYTES):
        raise BadReference(f"result {result.id} has the nonce {result.nonce!r}: take one from layout.new_nonce()")
    return raw


def _check_head(result_id: str, record: bytes) -> None:
    if len(record) < _HEAD_BYTES or record[0] & 0xF0 != 0x90:  # noqa: PLR2004  a msgpack array of up to 15 elements
        raise RecordUnreadable(_damaged(result_id, "it does not begin as one"))
    if record[1] > RECORD_FORMAT:
        raise RecordUnreadable(
            f"the record of {result_id} has format {record[1]} and this resultstore reads up to {RECORD_FORMAT}: "
            f"upgrade resultstore where this runs"
        )


def _state_name(result_id: str, main: _Record) -> str:
    if main.state == _CUSTOM_CODE:
        return main.state_name
    if main.state not in _STATE_OF_CODE:
        raise RecordUnreadable(_damaged(result_id, f"no state has the code {main.state}"))
    return _STATE_OF_CODE[main.state]


def _damaged(result_id: str, why: str) -> str:
    return f"the record of {result_id} is damaged ({why}): delete it; a sealed result is then read from its seal"


def _printable(result: Result) -> Result:
    """Free text may hold lone surrogates (a file name in a traceback), which UTF-8 refuses: they become escapes."""
    text = result.traceback
    text += "" if result.failure is None else result.failure.message
    text += "" if result.progress is None else result.progress.note
    if text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text):
        return result
    failure, progress = result.failure, result.progress
    return msgspec.structs.replace(
        result,
        traceback=_escaped(result.traceback),
        failure=failure and msgspec.structs.replace(failure, message=_escaped(failure.message)),
        progress=progress and msgspec.structs.replace(progress, note=_escaped(progress.note)),
    )


def _escaped(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _plain_mapping(thing: object) -> object:
    if isinstance(thing, Mapping):  # an Artifact's metadata may be a read-only view, which msgspec does not know
        return dict(thing)
    raise TypeError(f"{type(thing).__name__} has no place in a record")
