"""StoredValue: the plain value of a Result as its serializer wrote it, for `resultstore get`."""

import json
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
import typer

from resultstore.blobs.blobstore import Chunk
from resultstore.blobs.disposition import safe_file_name
from resultstore.blobs.stream import join
from resultstore.capture.spills import Spills
from resultstore.cli.files import whole_file
from resultstore.cli.output import STDOUT, marked, out, print_json, size_text
from resultstore.model.errors import WrongType
from resultstore.model.markers import SPILL_MARKER, is_envelope, read_envelope
from resultstore.model.result import Result, State
from resultstore.model.spill import Spill
from resultstore.store import Store
from resultstore.telemetry.escapes import escape_line

JSON_TYPE: Final = "application/json"
BINARY_TYPE: Final = "application/octet-stream"
_REFERENCE_MAX_BYTES: Final = 4_096


class StoredValue(msgspec.Struct, frozen=True, kw_only=True):
    """A plain value, not read yet.

    Args:
        pieces: its bytes, in order; they are verified only after the last one.
        size_bytes: their number.
        media_type: application/json, or what the serializer of a spilled value is called; else octet-stream.
    """

    pieces: Iterator[Chunk]
    size_bytes: int
    media_type: str


def find_value(store: Store, result: Result) -> StoredValue | None:
    """Return the value of a successful Result, or None if it has none.

    A spilled value is read from the object store, and `result_compression` of Celery is undone.

    Raises WrongType for a reference in YAML or pickle, BadReference, ArtifactExpired. While the pieces are read, raises
    ArtifactMissing and ChecksumMismatch.
    """
    if result.state != State.SUCCESS or result.value is None:
        return None
    payload, media_type, value = _decode(_decompress(result.value))
    if is_envelope(value) and isinstance(spill := read_envelope(value), Spill):
        pieces = Spills(store).pieces(spill)
        return StoredValue(pieces=pieces, size_bytes=spill.size_bytes, media_type=spill.media_type)
    if value is None and SPILL_MARKER.encode() in payload[:_REFERENCE_MAX_BYTES]:
        raise WrongType(
            f"the value of {result.id} is a reference in a format that this command does not read, such as YAML or "
            "pickle: read it with AsyncResult(id).get() in the app that made it"
        )
    return StoredValue(pieces=iter([payload]), size_bytes=len(payload), media_type=media_type)


def _decode(payload: bytes) -> tuple[bytes, str, object]:
    """Return the payload, its media type and its content. Only formats that run no code are decoded."""
    with suppress(ValueError, RecursionError):
        return payload, JSON_TYPE, json.loads(payload)
    with suppress(msgspec.DecodeError, RecursionError):
        return payload, BINARY_TYPE, msgspec.msgpack.decode(payload)
    return payload, BINARY_TYPE, None


def _decompress(payload: bytes) -> bytes:
    if payload[:1] != b"\0" or find_spec("celery") is None:  # Celery's mark of a compressed result begins so
        return payload
    plain: bytes | str = import_module("resultstore.backends.celery.compat").decompress_payload(payload)
    return plain.encode() if isinstance(plain, str) else plain


def write_value(value: StoredValue, *, id: str, output: str | None, json: bool) -> None:
    """Write a value to stdout or to a file, and report it.

    Args:
        value: the value.
        id: id of its Result.
        output: file to replace atomically, or folder to write `<id>.json` (or `.bin`) to; None or "-" for stdout.
        json: True to print one JSON document: what was saved, or without `output` the value itself, as a text.
    """
    facts = {"kind": "value", "id": id, "media_type": value.media_type, "size_bytes": value.size_bytes}
    if output is None and json:
        print_json(facts | _plain(join(value.pieces)))
        return
    if output in {None, STDOUT}:
        _copy(value, sys.stdout.buffer, ends_line=sys.stdout.isatty())
        return
    path = _target(id, value.media_type, output)
    with whole_file(path) as file:
        _copy(value, file, ends_line=False)
    if json:
        print_json(facts | {"path": str(path)})
    else:
        out().print(marked("[green]saved[/] {}  {}", path, size_text(value.size_bytes)), soft_wrap=True)


def _plain(payload: Chunk) -> dict[str, str]:
    """Return the value as a seal has it: a text, or base64 of bytes that are not UTF-8."""
    try:
        return {"value": str(payload, "utf-8")}
    except UnicodeDecodeError:
        return {"value_base64": b64encode(payload).decode()}


def _copy(value: StoredValue, file: BinaryIO, *, ends_line: bool) -> None:
    file.writelines(value.pieces)
    if ends_line:
        file.write(b"\n")


def _target(id: str, media_type: str, output: str) -> Path:
    path = Path(output)
    if not path.is_dir():
        return path
    path /= safe_file_name(f"{id}.json" if media_type == JSON_TYPE else f"{id}.bin")
    if path.exists():
        raise typer.BadParameter(escape_line(f"{path} exists: name it with -o to replace it"), param_hint="-o")
    return path
