"""Contents of an archive: the files of its Results, each under a name of its own."""

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import BinaryIO, Final

import msgspec
from zipstream import ZipStream

from resultstore.blobs.disposition import safe_file_name
from resultstore.model.artifact import Artifact
from resultstore.model.result import Result, State
from resultstore.store import Store
from resultstore.uploads.ticket import input_of

_PREVIEW_ROLES: Final = frozenset({"cover", "poster", "preview", "thumbnail"})
_BLOCK_BYTES: Final = 1024 * 1024


class Entry(msgspec.Struct, frozen=True):
    """One file of an archive: its name, which no other entry has, and its content."""

    name: str
    artifact: Artifact


def files_of(result: Result) -> list[Artifact]:
    """Return the files that a download of a Result contains; none if it has not succeeded.

    They are its outputs, or the uploaded file if there are only previews of it.
    """
    if result.state != State.SUCCESS:
        return []
    source = input_of(result)
    made = [one for one in result.artifacts if one is not source]
    if source is not None and all(one.metadata.get("role") in _PREVIEW_ROLES for one in made):
        return [source]
    return made


def entries_of(results: Iterable[Result]) -> list[Entry]:
    """Return the files of all Results. Equal names are numbered: `a.csv`, `a (2).csv`."""
    taken: set[str] = set()
    return [Entry(_free_name(one.file_name, taken), one) for result in results for one in files_of(result)]


def zip_of(store: Store, entries: Iterable[Entry]) -> ZipStream:
    """Return a ZIP of stored entries (APPNOTE.TXT; ZIP64 where it is needed), whose length is known before it is sent.

    It reads each file when its turn comes, and verifies every byte. Iterating it raises what `Store.open` and a read
    raise, and ValueError if a file is shorter or longer than its Artifact says.
    """
    archive = ZipStream(sized=True)
    for entry in entries:
        archive.add(_blocks(store, entry.artifact), entry.name, size=entry.artifact.size_bytes)
    return archive


def _blocks(store: Store, artifact: Artifact) -> Iterator[bytes]:
    file: BinaryIO
    with store.open(artifact) as file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def _free_name(file_name: str, taken: set[str]) -> str:
    """Return a safe name that no other entry has, also where upper and lower case are the same, and take it."""
    name = safe_file_name(file_name)
    stem, ending = PurePosixPath(name).stem, PurePosixPath(name).suffix
    number = 1
    while name.casefold() in taken:
        number += 1
        name = f"{stem} ({number}){ending}"
    taken.add(name.casefold())
    return name
