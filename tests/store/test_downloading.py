"""Downloads: complete and verified or not there, resumed, and never over a file by accident."""

import errno
import random
import threading
from pathlib import Path

import msgspec
import pytest

from resultstore import (
    ArtifactMissing,
    BadReference,
    BlobMissing,
    BlobStoreUnavailable,
    ChecksumMismatch,
    ResultMissing,
    Settings,
    connect,
)
from resultstore.blobs.stream import BLOCK_BYTES
from resultstore.store import downloading
from resultstore.store.attempt import Attempt, running

CONTENT = random.Random(3).randbytes(3 * BLOCK_BYTES + 5_000)


@pytest.fixture(params=[False, True], ids=["raw", "zstd"])
def artifact(request, store):
    return store.put(CONTENT, name="a.bin", file_name="sales 2026.bin", id="one", compress=request.param)


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.endswith(".part")]


def fail_at(store, monkeypatch, limit: int, error: Exception) -> list[int]:
    """Make reads of content raise `error` once `limit` bytes were sent; return the starts of the reads."""
    starts: list[int] = []
    get = store.blobs.get

    def failing(key, *, start=0, size_bytes=None):
        if not key.startswith("blobs/"):
            return get(key, start=start, size_bytes=size_bytes)
        starts.append(start)
        return cut(get(key, start=start, size_bytes=size_bytes))

    def cut(chunks):
        left = limit
        for chunk in chunks:
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                raise error

    monkeypatch.setattr(store.blobs, "get", failing)
    return starts


def test_file_has_the_content(store, artifact, tmp_path):
    assert store.download(artifact, tmp_path / "b.bin") == tmp_path / "b.bin"
    assert store.download(("one", "a.bin"), str(tmp_path / "c.bin")).read_bytes() == CONTENT
    assert (tmp_path / "b.bin").read_bytes() == CONTENT
    assert leftovers(tmp_path) == []


def test_folder_gets_a_file_of_its_name(store, artifact, tmp_path):
    assert store.download(artifact, tmp_path) == tmp_path / "sales 2026.bin"


def test_existing_file_is_kept(store, artifact, tmp_path):
    target = tmp_path / "b.bin"
    target.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        store.download(artifact, target)
    assert target.read_bytes() == b"mine"
    assert store.download(artifact, target, overwrite=True).read_bytes() == CONTENT
    assert leftovers(tmp_path) == []


def test_dangling_link_is_not_followed(store, artifact, tmp_path):
    (tmp_path / "b.bin").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        store.download(artifact, tmp_path / "b.bin")
    assert not (tmp_path / "elsewhere").exists()


def test_file_created_meanwhile_is_kept(store, artifact, tmp_path):
    target = tmp_path / "b.bin"
    with pytest.raises(FileExistsError):
        store.download(artifact, target, progress=lambda *_: target.write_bytes(b"mine"))
    assert target.read_bytes() == b"mine"
    assert leftovers(tmp_path) == []


def test_file_appears_only_when_complete(store, artifact, tmp_path):
    seen = []
    target = tmp_path / "b.bin"
    store.download(artifact, target, progress=lambda done, total: seen.append((done, total, target.exists())))
    assert [total for _, total, _ in seen] == [len(CONTENT)] * 4
    assert [done for done, _, _ in seen] == sorted({done for done, _, _ in seen})
    assert seen[-1] == (len(CONTENT), len(CONTENT), False)


def test_progress_of_the_task_is_reported(store, artifact, tmp_path):
    with running(Attempt("task")) as attempt:
        store.download(artifact, tmp_path / "b.bin", progress=True)
    assert (attempt.progress.done, attempt.progress.total) == (len(CONTENT), len(CONTENT))


def test_interrupted_download_goes_on(store, tmp_path, monkeypatch):
    artifact = store.put(CONTENT, name="a.bin")
    with monkeypatch.context() as patch:
        fail_at(store, patch, 2 * BLOCK_BYTES + 100, BlobStoreUnavailable("away"))
        with pytest.raises(BlobStoreUnavailable):
            store.download(artifact, tmp_path / "b.bin")
    assert not (tmp_path / "b.bin").exists()
    assert len(leftovers(tmp_path)) == 1
    starts = fail_at(store, monkeypatch, 10 * BLOCK_BYTES, BlobStoreUnavailable("away"))
    assert store.download(artifact, tmp_path / "b.bin").read_bytes() == CONTENT
    assert starts == [2 * BLOCK_BYTES]
    assert leftovers(tmp_path) == []


def test_damaged_beginning_is_loaded_again(store, artifact, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        fail_at(store, patch, 2 * BLOCK_BYTES + 100_000, BlobStoreUnavailable("away"))
        with pytest.raises(BlobStoreUnavailable):
            store.download(artifact, tmp_path / "b.bin")
    [name] = leftovers(tmp_path)
    (tmp_path / name).write_bytes(b"\0" * 2 * BLOCK_BYTES)
    assert store.download(artifact, tmp_path / "b.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("kept", [0, 1, BLOCK_BYTES, len(CONTENT), len(CONTENT) + 2 * BLOCK_BYTES])
def test_any_partial_file_ends_whole(store, artifact, tmp_path, monkeypatch, kept):
    with monkeypatch.context() as patch:
        fail_at(store, patch, 10, BlobStoreUnavailable("away"))
        with pytest.raises(BlobStoreUnavailable):
            store.download(artifact, tmp_path / "b.bin")
    [name] = leftovers(tmp_path)
    (tmp_path / name).write_bytes((CONTENT * 2)[:kept])
    assert store.download(artifact, tmp_path / "b.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("error", [ChecksumMismatch("damaged"), BlobMissing("gone"), OSError(errno.ENOSPC, "full")])
def test_error_that_stays_leaves_nothing(store, artifact, tmp_path, monkeypatch, error):
    fail_at(store, monkeypatch, 10, error)
    with pytest.raises(type(error)):
        store.download(artifact, tmp_path / "b.bin")
    assert not (tmp_path / "b.bin").exists()
    assert leftovers(tmp_path) == []


def test_second_name_of_a_published_file_is_removed(store, artifact, tmp_path, monkeypatch):
    """A process that dies between the two steps of publishing leaves two names of one file."""
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            store.download(artifact, tmp_path / "b.bin")
    assert len(leftovers(tmp_path)) == 1
    (tmp_path / "b.bin").chmod(0o400)
    assert store.download(artifact, tmp_path / "b.bin", overwrite=True).read_bytes() == CONTENT
    assert leftovers(tmp_path) == []


def test_file_system_without_links_is_served(store, artifact, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "no links")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    assert store.download(artifact, tmp_path / "b.bin").read_bytes() == CONTENT
    assert leftovers(tmp_path) == []


def test_one_of_many_downloads_creates_the_file(store, artifact, tmp_path):
    outcomes = []

    def work():
        try:
            outcomes.append(store.download(artifact, tmp_path / "b.bin").name)
        except FileExistsError:
            outcomes.append("exists")

    threads = [threading.Thread(target=work) for _ in range(6)]
    [one.start() for one in threads]
    [one.join() for one in threads]
    assert sorted(outcomes) == ["b.bin", *["exists"] * 5]
    assert (tmp_path / "b.bin").read_bytes() == CONTENT
    assert leftovers(tmp_path) == []


def test_unknown_artifact_is_named(store, artifact, tmp_path):
    with pytest.raises(ArtifactMissing, match=r"it has 'a\.bin'"):
        store.download(("one", "b.bin"), tmp_path / "b.bin")
    with pytest.raises(ResultMissing, match="two"):
        store.download(("two", "b.bin"), tmp_path / "b.bin")


def test_empty_artifact_is_an_empty_file(store, tmp_path):
    assert store.download(store.put(b"", name="e"), tmp_path / "e").read_bytes() == b""


@pytest.mark.parametrize("name", ["../esc.txt", "..", "/esc.txt", ""])
def test_unverified_name_stays_in_the_folder(tmp_path, name):
    store = connect(Settings(index_url="memory://", blobs_url="memory://"))
    forged = msgspec.structs.replace(store.put(b"x", name="a.txt"), name=name, file_name="")
    folder = tmp_path / "in" / "here"
    folder.mkdir(parents=True)

    path = store.download(forged, folder)

    assert path.parent == folder
    assert [one for one in tmp_path.rglob("*") if one.is_file()] == [path]


def test_forged_artifact_makes_no_file(store, tmp_path):
    forged = msgspec.structs.replace(store.put(b"x", name="a.txt"), size_bytes=2)
    seen = []
    with pytest.MonkeyPatch.context() as patch, pytest.raises(BadReference):
        patch.setattr(downloading.os, "open", lambda *given: seen.append(given))
        store.download(forged, tmp_path / "b.txt")
    assert seen == []
