"""Stream: turns any source of bytes into measured, hashed chunks."""

import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from inspect import GEN_CLOSED, getgeneratorstate
from itertools import chain
from pathlib import Path
from types import GeneratorType
from typing import BinaryIO, TypeVar, cast

import msgspec

from resultstore.blobs.blobstore import Chunk
from resultstore.model.errors import BadInput, ChecksumMismatch, WrongType

BLOCK_BYTES = 1 << 20  # covered by one entry of a digest table
DIGEST_BYTES = 16  # of sha256, for each block: enough against chance and against a chosen second preimage (2^128)

Piece = TypeVar("Piece", bound=Chunk)
Source = bytes | bytearray | memoryview | Path | BinaryIO | Iterable[Chunk]

# How to store an object of a library, by an attribute that its type has; the first that fits.
_WAYS = (
    ("to_parquet", "with store.writer(name='table.parquet') as file: value.to_parquet(file)"),
    ("write_parquet", "with store.writer(name='table.parquet') as file: value.write_parquet(file)"),
    ("savefig", "with store.writer(name='figure.png') as file: value.savefig(file, format='png')"),
    ("getbands", "with store.writer(name='image.png') as file: value.save(file, format='PNG')"),
    ("dtype", "with store.writer(name='array.npy') as file: numpy.save(file, value)"),
)
GENERAL_WAY = "give bytes, a Path, a binary file or an iterable of bytes, or write it into `store.writer(name=...)`"
_SHOWN_CHARS = 40


class OpenedSource(msgspec.Struct, frozen=True):
    """An opened source: its chunks, its length in bytes if that is known ahead, its file name or ""."""

    chunks: Iterable[Chunk]
    size_hint_bytes: int | None = None
    file_name: str = ""


@contextmanager
def open_source(source: Source) -> Iterator[OpenedSource]:
    """Yield the chunks of `source`. A Path is opened and closed here; a file or an iterator stays open.

    A file is read from its position on. A file at its end, as after it was written, is read from its beginning.
    Raises WrongType for text, a generator that has ended, and everything else that holds no bytes: the message says
    how to store it. Raises BadInput when a Path cannot be read.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        view = memoryview(source).cast("B")
        yield OpenedSource([view] if view.nbytes else [], view.nbytes)
    elif isinstance(source, os.PathLike):
        path = Path(source)
        with _file(path) as file:
            yield OpenedSource(_reads(file), os.fstat(file.fileno()).st_size, _shown(path.name))
    elif isinstance(source, io.TextIOBase):
        raise WrongType("cannot store a text file: open it in binary mode")
    elif hasattr(source, "read"):
        yield OpenedSource(_reads(cast("BinaryIO", source)), _size_ahead(cast("BinaryIO", source)), _name_of(source))
    elif isinstance(source, GeneratorType) and getgeneratorstate(source) == GEN_CLOSED:
        raise WrongType("cannot store a generator that has ended: its bytes were read already; make another")
    elif isinstance(source, Iterable) and _way_to_store(source) == GENERAL_WAY:
        yield OpenedSource(source)
    else:
        raise WrongType(f"cannot store a {type_name(source)} as bytes: {_way_to_store(source)}")


def type_name(value: object) -> str:
    """Return the type of `value` as people write it: `pandas.DataFrame`, and `str` for a builtin type."""
    kind = type(value)
    package = kind.__module__.partition(".")[0]
    return kind.__qualname__ if package == "builtins" else f"{package}.{kind.__qualname__}"


def _way_to_store(source: object) -> str:
    if isinstance(source, str):
        shown = f"{source[:40]}..." if len(source) > _SHOWN_CHARS else source
        return f"for a file write Path({shown!r}), for the text itself text.encode()"
    if isinstance(source, Mapping | set | frozenset):
        return "return it from a task as it is, or store json.dumps(value).encode()"
    found = next((way for attribute, way in _WAYS if hasattr(source, attribute)), "")
    return f"write `{found}`, or return it from a task by an adapter" if found else GENERAL_WAY


class Meter:
    """Yields chunks and measures them: length, sha256, and a digest for each MiB.

    No chunk that it yields crosses a block's border, so a huge chunk costs no copy and no pause.

    Args:
        chunks: where the bytes come from.
        with_table: build the digest table too, at the cost of a second pass of sha256.
    """

    def __init__(self, chunks: Iterable[Chunk], *, with_table: bool = True) -> None:
        self._chunks = chunks
        self._whole = hashlib.sha256()
        self._with_table = with_table
        self._block = hashlib.sha256()
        self._table = bytearray()
        self.size_bytes = 0

    def __iter__(self) -> Iterator[memoryview]:
        for chunk in self._chunks:
            view = _bytes_of(chunk)
            while view.nbytes:
                left = BLOCK_BYTES - self.size_bytes % BLOCK_BYTES
                piece, view = view[:left], view[left:]
                self._add(piece)
                yield piece

    @property
    def sha256(self) -> str:
        """Return the hex digest of all bytes so far."""
        return self._whole.hexdigest()

    @property
    def table(self) -> bytes:
        """Return the first 16 bytes of the sha256 of each MiB, in order; the last block may be shorter."""
        last = self._block.digest()[:DIGEST_BYTES] if self.size_bytes % BLOCK_BYTES else b""
        return bytes(self._table) + last

    def _add(self, piece: memoryview) -> None:
        self._whole.update(piece)
        self.size_bytes += piece.nbytes
        if not self._with_table:
            return
        self._block.update(piece)
        if self.size_bytes % BLOCK_BYTES == 0:
            self._table += self._block.digest()[:DIGEST_BYTES]
            self._block = hashlib.sha256()


def join(chunks: Iterable[Chunk]) -> Chunk:
    """Return all chunks as one; a single chunk is returned as it is."""
    ahead = iter(chunks)
    first, second = next(ahead, b""), next(ahead, None)
    if second is None:
        return first
    grown = bytearray(first)  # in place: a list of chunks and their sum would need the memory twice
    for chunk in chain([second], ahead):
        grown += chunk
    return grown


def read_whole(chunks: Iterable[Chunk], *, max_bytes: int, error: Callable[[], Exception]) -> bytes:
    """Join a small document, which another program may have replaced by a huge one.

    Args:
        chunks: what the store sends; at most `max_bytes` and one chunk of it are read.
        max_bytes: the largest allowed size.
        error: returns the exception to raise for a larger document.
    """
    return bytes(join(limited(chunks, max_bytes=max_bytes, error=error)))


def limited(chunks: Iterable[Piece], *, max_bytes: int, error: Callable[[], Exception]) -> Iterator[Piece]:
    """Yield `chunks`, and raise `error()` before the one that exceeds `max_bytes` in all."""
    taken_bytes = 0
    for chunk in chunks:
        taken_bytes += len(chunk)
        if taken_bytes > max_bytes:
            raise error()
        yield chunk


def verified_blocks(chunks: Iterable[bytes], *, table: bytes, first_block: int, what: str) -> Iterator[bytes]:
    """Join `chunks`, which begin at block `first_block`, into whole blocks and check each against `table`.

    Raises ChecksumMismatch, naming `what`, before it yields any byte of a wrong block.
    """
    block = bytearray()
    number = first_block
    for chunk in chunks:
        view = memoryview(chunk)
        while view.nbytes:
            left = BLOCK_BYTES - len(block)
            block += view[:left]
            view = view[left:]
            if len(block) == BLOCK_BYTES:
                yield _checked(bytes(block), table=table, number=number, what=what)
                number += 1
                block.clear()
    if block:
        yield _checked(bytes(block), table=table, number=number, what=what)


def _checked(block: bytes, *, table: bytes, number: int, what: str) -> bytes:
    wanted = table[number * DIGEST_BYTES : (number + 1) * DIGEST_BYTES]
    if hashlib.sha256(block).digest()[:DIGEST_BYTES] != wanted:
        raise ChecksumMismatch(f"{what} is damaged in the store (MiB {number}): restore it or run its task again")
    return block


def _bytes_of(chunk: Chunk) -> memoryview:
    if not isinstance(chunk, bytes | bytearray | memoryview):
        raise WrongType(f"a stream must yield bytes, not {type_name(chunk)}: encode text before it is stored")
    return memoryview(chunk).cast("B")


def _file(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise BadInput(
            f"cannot read {path.name}: {error.strerror}; check that it is a file this process may read"
        ) from error


def _reads(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(BLOCK_BYTES):
        yield chunk


def _size_ahead(file: BinaryIO) -> int | None:
    """Return how many bytes will be read, or None; rewind a file that is at its end."""
    try:
        if not file.seekable():
            return None
        here = file.tell()
        end = file.seek(0, os.SEEK_END)
        here = 0 if here >= end else here
        file.seek(here)
    except (AttributeError, OSError, ValueError):
        return None  # a pipe, or a file-like object without a position
    return max(0, end - here)


def _name_of(source: object) -> str:
    name = getattr(source, "name", "")
    return _shown(Path(name).name) if isinstance(name, str) and not name.startswith("<") else ""


def _shown(file_name: str) -> str:
    """Replace surrogates by `?`: a name that is not UTF-8 on the disk has them, and no document can hold them."""
    return file_name.encode(errors="replace").decode()
