"""LocalBlobs: a blob is whole or missing, also when the disk is full or the writer is killed."""

import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from resultstore.blobs.blobstore import AlreadyExists, Created
from resultstore.blobs.local.driver import LocalBlobs
from resultstore.model.errors import BlobMissing, BlobStoreFull, BlobStoreUnavailable
from tests.blobs.local.folder import KEY, MIB, files, put


def descriptors():
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 4 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.fail(f"this test mounts a small disk: run it as root ({mounted.stderr.strip()})")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_full_disk_is_named_and_leaves_nothing(small_disk):
    blobs = LocalBlobs(small_disk / "blobs")
    put(blobs, "a/first", b"x" * MIB)

    with pytest.raises(BlobStoreFull, match=f"{small_disk}.*RESULTSTORE_BLOBS_URL"):
        put(blobs, KEY, *[b"x" * 64_000] * 100)

    assert files(small_disk) == ["blobs/a/first"]
    with pytest.raises(BlobMissing):
        blobs.stat(KEY)
    put(blobs, KEY, b"y" * 2 * MIB)
    assert blobs.stat(KEY).size_bytes == 2 * MIB


def test_a_full_disk_refuses_a_seal_definitely(small_disk):
    blobs = LocalBlobs(small_disk)
    put(blobs, "a/first", b"x")
    with pytest.raises(BlobStoreFull):
        put(blobs, "a/too-much", b"x" * 8 * MIB)
    (small_disk / "ballast").write_bytes(b"x" * (os.statvfs(small_disk).f_bavail * 4096))

    with pytest.raises(BlobStoreFull):
        blobs.create("seals/00/id", b"x" * 5000, tags={})

    assert files(small_disk) == ["a/first", "ballast"]


def test_a_disk_that_allows_no_writing_is_named(small_disk):
    blobs = LocalBlobs(small_disk)
    put(blobs, KEY, b"x")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)

    for write in (
        lambda: put(blobs, "a/b", b"y"),
        lambda: blobs.create("a/b", b"y", tags={}),
        lambda: blobs.delete([KEY]),
    ):
        with pytest.raises(BlobStoreUnavailable, match=f"{small_disk}.*[Rr]ead-only.*writable"):
            write()

    assert b"".join(blobs.get(KEY)) == b"x"


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(BlobStoreUnavailable, match=r"file/blobs.*RESULTSTORE_BLOBS_URL"):
        put(LocalBlobs(tmp_path / "file" / "blobs"), KEY, b"x")


def test_file_size_limit_leaves_nothing(root):
    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, MIB))

    code = (
        "import sys; from pathlib import Path; from resultstore.blobs.local.driver import LocalBlobs\n"
        "from resultstore.model.errors import TooLarge\n"
        "try: LocalBlobs(Path(sys.argv[1])).put('a/b', [b'x' * 300_000] * 9, media_type='x/y')\n"
        "except TooLarge as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, root], capture_output=True, text=True, check=True, preexec_fn=limited, timeout=30
    )

    assert str(root) in done.stdout
    assert files(root) == []


def test_an_oserror_of_the_producer_stays_its_own(root):
    error = OSError(errno.ENOSPC, "the producer's disk")

    def fails():
        yield b"x"
        raise error

    with pytest.raises(OSError, match="the producer's disk") as raised:
        LocalBlobs(root).put(KEY, fails(), media_type="x/y")

    assert raised.value is error
    assert files(root) == []


WRITER = """
import sys; from pathlib import Path; from resultstore.blobs.local.driver import LocalBlobs
def chunks():
    yield b"x" * 100_000
    print("writing", flush=True)
    sys.stdin.read()
LocalBlobs(Path(sys.argv[1])).put("a/half", chunks(), media_type="x/y")
"""


@pytest.fixture
def writer(root):
    """A process that has written half of the blob `a/half` and waits."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, root], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "writing\n"
    yield process
    process.kill()
    process.communicate()


def test_next_write_removes_drafts_of_killed_writers(root, writer):
    blobs = LocalBlobs(root)
    writer.send_signal(signal.SIGKILL)
    writer.wait(30)
    assert len(files(root)) == 1

    assert list(blobs.list("")) == []
    with pytest.raises(BlobMissing):
        blobs.stat("a/half")
    put(blobs, KEY, b"x")

    assert files(root) == [KEY]


def test_draft_in_use_is_not_removed(root, writer):
    put(LocalBlobs(root), KEY, b"x")
    assert len(files(root)) == 2

    writer.communicate(timeout=30)

    assert writer.returncode == 0
    assert files(root) == ["a/half", KEY]


def test_a_put_leaves_neither_draft_nor_descriptor(root):
    blobs = LocalBlobs(root)
    put(blobs, "a/first", b"x")
    before = descriptors()

    put(blobs, "a/1", b"x" * MIB)
    assert blobs.create("a/2", b"x", tags={}) == Created(blobs.stat("a/2").etag)
    assert blobs.create("a/2", b"x", tags={}) == AlreadyExists()
    blobs.replace("a/2", b"y", tags={})
    list(blobs.get("a/1"))
    next(blobs.get("a/1"))
    blobs.get("a/1")
    with pytest.raises(ZeroDivisionError):
        blobs.put("a/3", (bytes(1 // n) for n in (1, 0)), media_type="x/y")

    assert descriptors() == before
    assert files(root) == ["a/1", "a/2", "a/first"]


def test_bytes_and_folders_are_synced_before_the_answer(root, monkeypatch):
    synced, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(str(Path(f"/proc/self/fd/{fd}").readlink())), fsync(fd)))

    put(LocalBlobs(root), "a/b/c", b"x")

    assert synced[0].startswith(f"{root}/.drafts/")
    assert synced[1:] == [f"{root}/a/b", f"{root}/a", f"{root}"]
    assert (root / "a/b/c").exists()
