"""Written form of a Result in the index: the record, as docs/format.md specifies it byte by byte."""

import itertools
import operator
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from resultstore.model.artifact import Artifact
from resultstore.model.errors import BadReference, RecordUnreadable
from resultstore.model.event import Announcement, Event
from resultstore.model.layout import RECORD_FORMAT
from resultstore.model.result import Failure, Progress, Result, State
from resultstore.model.seal import DELETED
from resultstore.model.spill import Spill

# The third byte of every record, which save.lua compares: states from 64 on are terminal, 127 is never replaced.
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

_FLAG_OF_FIELD: Final = {"sealed": 1, "ephemeral": 2, "deleted": 32}  # fields of a Result
_FLAG_OF_UNREAD: Final = {"rest": 4, "value": 8, "extra": 16}  # what `Result.unread` may name
_BESIDE, _DELETED = _FLAG_OF_UNREAD["rest"], _FLAG_OF_FIELD["deleted"]
_EVENT_MIN_FIELDS: Final = 3  # id, state and progress are always written
_STATE_AT, _FLAGS_AT, _HEAD_BYTES, _NONCE_BYTES = 2, 3, 4, 16

# Larger ones are stored under a second key, `layout.beside_key`, and so are all other fields of `_Beside`.
# A second key costs Redis about 190 bytes, so small ones are cheaper inside: the ids of parent and child of a task in a
# chain are 104 bytes. A state poll reads them too; up to 1 KiB it stays one small read.
_INSIDE_MAX_BYTES: Final = {"value": 512, "failure": 256, "extra": 512}


class _Times(msgspec.Struct, frozen=True, array_like=True):
    """Times of a Result, under the names of its fields."""

    created_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    changed_at: float | None = None
    expires_at: int | None = None


class _Record(msgspec.Struct, frozen=True, array_like=True):
    """The record: an array of these fields in this order, without trailing defaults.

    This is the only declaration of a field: `encode` and `decode` copy it from and to the field of Result that has
    its name. Add a new one at the end, with a default, so that older records stay readable.
    """

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


class _Beside(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Fields of a Result that are stored under a second key if they are large. Add a new one with a default."""

    value: bytes | None = None
    failure: Failure | None = None
    traceback: str = ""
    artifacts: tuple[Artifact, ...] = ()
    extra: bytes = b""


_NOTHING_BESIDE: Final = _Beside()
_BESIDE_DEFAULTS: Final = msgspec.structs.asdict(_NOTHING_BESIDE)
_MAX_BYTES_OF_BESIDE: Final = {name: _INSIDE_MAX_BYTES.get(name, 0) for name in _BESIDE_DEFAULTS}
_REQUIRED: Final = len(_Record.__struct_fields__) - len(_Record.__struct_defaults__)
_POSITION: Final = {name: position for position, name in enumerate(_Record.__struct_fields__)}
_DEFAULTS: Final = ([], *_Record.__struct_defaults__[1:])  # of times, and of what follows them
# Getters in place of loops, and a table of all combinations of flags: gateways read thousands of records a second.
_times_of = operator.attrgetter(*_Times.__struct_fields__)
_tail_of = operator.attrgetter(*("state" if one == "state_name" else one for one in _Record.__struct_fields__[4:]))
_beside_of = operator.attrgetter(*_BESIDE_DEFAULTS)
_flags_of = operator.attrgetter(*_FLAG_OF_FIELD)
_FLAGS: Final = {
    given: sum(bit for bit, is_set in zip(_FLAG_OF_FIELD.values(), given, strict=True) if is_set)
    for given in itertools.product((False, True), repeat=len(_FLAG_OF_FIELD))
}
_FIELD_FLAGS: Final = sum(_FLAG_OF_FIELD.values())
_NOT_OF_RESULT: Final = set(_Record.__struct_fields__) - set(Result.__struct_fields__)
_FIELDS_OF_FLAGS: Final = {flags: dict(zip(_FLAG_OF_FIELD, given, strict=True)) for given, flags in _FLAGS.items()}
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError)  # msgspec does not translate the second
_READ_RECORD: Final = msgspec.msgpack.Decoder(_Record)
_READ_BESIDE: Final = msgspec.msgpack.Decoder(_Beside)
_READ_EVENT: Final = msgspec.msgpack.Decoder(Event)
_READ_ANNOUNCEMENT: Final = msgspec.msgpack.Decoder(Announcement)


def encode(result: Result) -> tuple[bytes, bytes | None]:
    """Return the record of `result`, and the bytes of the second key, or None if all fits into the record.

    Raises BadReference if the nonce is not 32 hex digits.
    """
    result = _printable(result)
    moved = _too_big(result)
    state = CODE_OF_STATE.get(result.state, _CUSTOM_CODE)
    record = [RECORD_FORMAT, state, _flags(result, moved), list(_times_of(result)), *_tail_of(result)]
    record[_POSITION["nonce"]] = _raw_nonce(result)
    if state != _CUSTOM_CODE:
        record[_POSITION["state_name"]] = ""
    for name in moved:
        if name in _POSITION:
            record[_POSITION[name]] = _BESIDE_DEFAULTS[name]
    packed = msgspec.msgpack.encode(_trimmed(record))
    return packed, msgspec.msgpack.encode(_Beside(**moved), enc_hook=_plain_mapping) if moved else None


def decode(result_id: str, record: bytes, beside: bytes | None) -> Result:
    """Return the Result that was written. Without `beside`, the second key, its fields have their defaults.

    Raises RecordUnreadable if the bytes are damaged or of a newer format.
    """
    _check_head(result_id, record)
    try:
        main = _READ_RECORD.decode(record)
        moved = _READ_BESIDE.decode(beside) if beside is not None and has_beside(record) else _NOTHING_BESIDE
    except _UNREADABLE as error:
        raise RecordUnreadable(_damaged(result_id, str(error))) from error
    fields = msgspec.structs.asdict(main) | msgspec.structs.asdict(main.times)
    if moved is not _NOTHING_BESIDE:
        fields |= {name: one for name, one in msgspec.structs.asdict(moved).items() if one != _BESIDE_DEFAULTS[name]}
    fields |= _FIELDS_OF_FLAGS[main.flags & _FIELD_FLAGS]
    fields["state"] = _state_name(result_id, main)
    fields["nonce"] = main.nonce.hex()
    for name in _NOT_OF_RESULT:
        del fields[name]
    unread = _unread(main.flags) if beside is None and main.flags & _BESIDE else frozenset()
    return Result(id=result_id, unread=unread, **fields)


def has_beside(record: bytes) -> bool:
    """Return whether a part of this Result is stored under `layout.beside_key`."""
    return len(record) >= _HEAD_BYTES and bool(record[_FLAGS_AT] & _BESIDE)


def state_code(record: bytes) -> int:
    """Return the state's code, the third byte, without decoding the record; 0 if it is too short to be one.

    Compare it with `FIRST_TERMINAL_CODE` or `SUCCESS_CODE`.
    """
    return record[_STATE_AT] if len(record) >= _HEAD_BYTES else 0


def is_tombstone(record: bytes) -> bool:
    """Return whether this record is a tombstone, without decoding it: the same check as in save.lua."""
    begins_as_one = len(record) >= _HEAD_BYTES and record[0] & 0xF0 == 0x90  # noqa: PLR2004  as in `_check_head`
    return begins_as_one and record[_STATE_AT] == CODE_OF_STATE[State.REVOKED] and bool(record[_FLAGS_AT] & _DELETED)


def is_live(head: bytes) -> bool:
    """Return whether a record begins with `head` and is no tombstone; False for empty bytes."""
    return bool(head) and not is_tombstone(head)


def encode_event(
    result: Result, *, main: bytes = b"", beside: bytes | None = None, early: Spill | None = None
) -> bytes:
    """Return the announcement of `result`: the Event that its watchers receive, and the rest of an Announcement."""
    result = _printable(result)
    state = DELETED if result.deleted else str(result.state)
    fields = [result.id, state, result.progress, len(result.artifacts), main, beside or b"", early]
    while not fields[-1] and len(fields) > _EVENT_MIN_FIELDS:
        fields.pop()
    return msgspec.msgpack.encode(fields)


def decode_event(announcement: bytes) -> Event | None:
    """Return the Event in `announcement`, or None if the bytes hold none.

    An Event is a hint: the caller reads the record before it relies on it.
    """
    try:
        return _READ_EVENT.decode(announcement)
    except _UNREADABLE:
        return None


def decode_announcement(announcement: bytes) -> Announcement | None:
    """Return the Announcement, with the record if it was sent along, or None if the bytes hold none."""
    try:
        return _READ_ANNOUNCEMENT.decode(announcement)
    except _UNREADABLE:
        return None


def _too_big(result: Result) -> dict[str, Any]:
    """Return the fields that do not fit into the record."""
    moved = {}
    for (name, max_bytes), value in zip(_MAX_BYTES_OF_BESIDE.items(), _beside_of(result), strict=True):
        if value and len(value if name != "failure" else msgspec.msgpack.encode(value)) > max_bytes:
            moved[name] = value
    return moved


def _flags(result: Result, moved: Mapping[str, object]) -> int:
    flags = _FLAGS[_flags_of(result)]
    return flags | _BESIDE | sum(_FLAG_OF_UNREAD.get(name, 0) for name in moved) if moved else flags


def _unread(flags: int) -> frozenset[str]:
    """Return the parts that are under the second key: a reader may decide not to fetch a large value."""
    return frozenset(name for name, bit in _FLAG_OF_UNREAD.items() if flags & bit)


def _trimmed(record: list[Any]) -> list[Any]:
    """Return the record without trailing defaults, of its times too."""
    times = record[_REQUIRED]
    while times and times[-1] is None:
        times.pop()
    while len(record) > _REQUIRED and record[-1] == _DEFAULTS[len(record) - 1 - _REQUIRED]:
        record.pop()
    return record


def _raw_nonce(result: Result) -> bytes:
    try:
        raw = bytes.fromhex(result.nonce)
    except ValueError:
        raw = b""
    if raw.hex() != result.nonce or len(raw) not in (0, _NONCE_BYTES):
        raise BadReference(f"result {result.id} has the nonce {result.nonce!r}: use one from layout.new_nonce()")
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
    """Return `result` with lone surrogates escaped, which UTF-8 refuses: a file name in a traceback may hold some."""
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
    raise TypeError(f"a record cannot hold a {type(thing).__name__}")
