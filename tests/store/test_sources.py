"""Sources: what was written is stored, and is called as the caller said."""

import io
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from resultstore import Output, Store, WrongType
from resultstore.capture.outputs import capture
from resultstore.store.attempt import Attempt, running

WRITTEN = b"z" * 30_000


def buffer(_: Path) -> BinaryIO:
    return io.BytesIO()


def opened(folder: Path) -> BinaryIO:
    return (folder / "made.bin").open("w+b")


def unbuffered(folder: Path) -> BinaryIO:
    return (folder / "made.bin").open("w+b", buffering=0)


def temporary(_: Path) -> BinaryIO:
    return tempfile.TemporaryFile()


def spooled(_: Path) -> BinaryIO:
    return tempfile.SpooledTemporaryFile(1_000)


FILES: list[Callable[[Path], BinaryIO]] = [buffer, opened, unbuffered, temporary, spooled]


@pytest.mark.parametrize("make", FILES, ids=lambda one: one.__name__)
def test_file_at_its_end_is_stored_whole(store: Store, tmp_path: Path, make: Callable[[Path], BinaryIO]):
    made = make(tmp_path)
    made.write(WRITTEN)

    artifact = store.put(made, name="made.bin")

    assert store.open(artifact).read() == WRITTEN


@pytest.mark.parametrize("make", FILES, ids=lambda one: one.__name__)
def test_task_may_return_a_file_it_wrote(store: Store, tmp_path: Path, make: Callable[[Path], BinaryIO]):
    made = make(tmp_path)
    made.write(WRITTEN)

    with running(Attempt("job")):
        artifact = capture(store, [made])[0]
        output = capture(store, Output(data=io.BytesIO(WRITTEN), name="named"))

    assert artifact.size_bytes == output.size_bytes == len(WRITTEN)


def test_file_past_its_end_is_stored_whole(store: Store):
    made = io.BytesIO(WRITTEN)
    made.seek(len(WRITTEN) + 5)

    assert store.put(made).size_bytes == len(WRITTEN)


def test_archive_written_into_a_buffer_is_whole(store: Store):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("a.txt", "hello")

    with zipfile.ZipFile(store.open(store.put(made, name="a.zip"))) as archive:
        assert archive.read("a.txt") == b"hello"


@pytest.mark.parametrize("at", [0, 7])
def test_file_before_its_end_is_read_from_there(store: Store, at: int):
    made = io.BytesIO(b"0123456789")
    made.seek(at)

    assert store.open(store.put(made)).read() == b"0123456789"[at:]


def test_empty_file_is_stored_empty(store: Store):
    assert store.put(io.BytesIO()).size_bytes == 0


def test_ended_generator_is_refused(store: Store):
    chunks = (one for one in [WRITTEN])
    assert next(chunks, None) == WRITTEN
    assert next(chunks, None) is None

    with pytest.raises(WrongType, match="ended"):
        store.put(chunks)


def test_text_file_at_its_end_is_refused(store: Store, tmp_path: Path):
    with (tmp_path / "a.txt").open("w+") as text:
        text.write("written")

        with pytest.raises(WrongType, match="binary"):
            store.put(text)


@pytest.mark.parametrize(
    ("given", "file", "shown", "media_type"),
    [
        ("report.pdf", "tmpab12cd", "report.pdf", "application/pdf"),
        ("report.pdf", "tmpab12cd.bin", "report.pdf", "application/pdf"),
        ("report", "tmpab12cd", "report", "application/octet-stream"),
        ("report", "tmpab12cd.pdf", "report.pdf", "application/pdf"),
        ("version 1.2", "table.csv", "version 1.2", "text/csv"),
        ("", "table.csv", "table.csv", "text/csv"),
        ("r" * 255, "table.csv", "r" * 255, "text/csv"),
    ],
)
def test_given_name_wins_over_that_of_a_file(store: Store, tmp_path: Path, *, given, file, shown, media_type):
    path = tmp_path / file
    path.write_bytes(b"content")

    for source in [path, path.open("rb")]:
        artifact = store.put(source, name=given or None)

        assert (artifact.name, artifact.file_name) == (given or file, shown)
        assert artifact.media_type == media_type
    assert store.put(path, name=given or None, media_type="a/b").media_type == "a/b"


@pytest.mark.parametrize("name", ["a\nb.txt", "a\u202eb.txt", "a\\b.txt", "x" * 200 + ".txt"])
def test_no_name_of_a_file_fails_a_put(store: Store, tmp_path: Path, name: str):
    path = tmp_path / name
    path.write_bytes(b"content")

    artifact = store.put(path)

    assert artifact.name == artifact.file_name
    assert artifact.media_type == "text/plain"
    assert "\n" not in artifact.name
