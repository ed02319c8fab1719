"""Local: blobs in a folder, whole or not at all, also when the disk is full or the writer is killed."""

import errno
import os
import resource
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from resultstore.blobs.blobstore import Created, Taken
from resultstore.blobs.local import LocalBlobs
from resultstore.model.errors import BadReference, BlobMissing, BlobStoreFull, BlobStoreUnavailable

MIB = 1 << 20
KEY = "blobs/30d/ab/id-1/0123.0"


def put(blobs, key, *chunks):
    return blobs.put(key, chunks, media_type="application/octet-stream")


def files(root):
    """Every file below `root`, drafts included."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def descriptors():
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


@pytest.fixture
def root(tmp_path):
    return tmp_path / "blobs"


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


def test_a_blob_is_a_file_with_its_key_as_its_path(root):
    put(LocalBlobs(root), KEY, b"hello")

    assert files(root) == [KEY]
    assert (root / KEY).read_bytes() == b"hello"


def test_the_folder_is_made_by_the_first_write_and_not_before(root):
    blobs = LocalBlobs(root)

    assert list(blobs.list("")) == []
    blobs.delete([KEY])
    assert not root.exists()


def test_a_change_of_the_working_directory_moves_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blobs = LocalBlobs(Path("here"))
    (tmp_path / "elsewhere").mkdir()

    monkeypatch.chdir(tmp_path / "elsewhere")
    put(blobs, KEY, b"x")

    assert files(tmp_path) == [f"here/{KEY}"]


def test_a_key_is_written_once(root):
    blobs = LocalBlobs(root)
    first = put(blobs, KEY, b"first")

    with pytest.raises(BadReference, match=KEY):
        put(blobs, KEY, b"second")

    assert blobs.stat(KEY) == first
    assert files(root) == [KEY]


def test_of_many_writers_of_one_key_one_wins_whole(root):
    blobs = LocalBlobs(root)
    gate = threading.Barrier(8)

    def write(n):
        gate.wait(30)
        with suppress(BadReference):
            return put(blobs, KEY, bytes([n]) * MIB, bytes([n]) * 5)
        return None

    with ThreadPoolExecutor(8) as pool:
        winners = [stored for stored in pool.map(write, range(8)) if stored]

    assert len(winners) == 1
    assert blobs.stat(KEY) == winners[0]
    assert len(set((root / KEY).read_bytes())) == 1


def test_what_is_hidden_is_never_listed_or_read(root):
    blobs = LocalBlobs(root)
    put(blobs, KEY, b"x")
    (root / ".secret").write_bytes(b"secret")
    (root / ".drafts" / "half").write_bytes(b"half")
    (root / "blobs" / ".hidden").write_bytes(b"hidden")

    assert [stored.key for stored in blobs.list("")] == [KEY]
    for prefix in (".", ".drafts/", ".secret", "blobs/."):
        assert list(blobs.list(prefix)) == []
    for key in (".secret", ".drafts/half", "blobs/.hidden"):
        with pytest.raises(BadReference):
            blobs.get(key)


def test_no_key_or_prefix_leaves_the_folder(root, tmp_path):
    blobs = LocalBlobs(root)
    put(blobs, KEY, b"x")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_bytes(b"x")

    for way_out in ("../outside/file", f"{tmp_path}/outside/file", "blobs/../../outside/file"):
        with pytest.raises(BadReference):
            blobs.stat(way_out)
        assert list(blobs.list(way_out)) == []


def test_a_key_that_begins_another_is_refused_and_leaves_nothing(root):
    blobs = LocalBlobs(root)
    put(blobs, "a/b", b"x")

    for key in ("a/b/c", "a/b/c/d"):
        with pytest.raises(BadReference, match="blob stands there"):
            put(blobs, key, b"y")

    assert files(root) == ["a/b"]


def test_deleting_leaves_no_empty_folder(root):
    blobs = LocalBlobs(root)
    put(blobs, "blobs/30d/ab/id-1/x.0", b"x")
    put(blobs, "blobs/30d/ab/id-2/x.0", b"x")

    blobs.delete(["blobs/30d/ab/id-1/x.0"])
    assert sorted(path.name for path in (root / "blobs/30d/ab").iterdir()) == ["id-2"]
    blobs.delete(["blobs/30d/ab/id-2/x.0"])

    assert sorted(path.name for path in root.iterdir()) == [".drafts"]


def test_a_writer_is_not_disturbed_by_a_delete_that_takes_its_folder(root):
    writer, over = LocalBlobs(root), threading.Event()

    def keep_deleting():
        rounds = 0
        while not over.is_set():
            put(LocalBlobs(root), f"a/b/c/{rounds}", b"x")
            LocalBlobs(root).delete([f"a/b/c/{rounds}"])
            rounds += 1
        return rounds

    with ThreadPoolExecutor(1) as pool:
        deleting = pool.submit(keep_deleting)
        for n in range(300):
            put(writer, f"a/b/c/mine-{n}", b"x")
            writer.delete([f"a/b/c/mine-{n}"])
        over.set()

        assert deleting.result(30) > 50


def test_a_full_disk_is_named_and_nothing_of_the_blob_stays(small_disk):
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


def test_a_limit_on_the_size_of_files_is_too_large_and_leaves_nothing(root):
    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, MIB))

    code = (
        "import sys; from pathlib import Path; from resultstore.blobs.local import LocalBlobs\n"
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
import sys; from pathlib import Path; from resultstore.blobs.local import LocalBlobs
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


def test_what_a_killed_writer_left_is_never_seen_and_goes_with_the_next_write(root, writer):
    blobs = LocalBlobs(root)
    writer.send_signal(signal.SIGKILL)
    writer.wait(30)
    assert len(files(root)) == 1

    assert list(blobs.list("")) == []
    with pytest.raises(BlobMissing):
        blobs.stat("a/half")
    put(blobs, KEY, b"x")

    assert files(root) == [KEY]


def test_a_draft_that_is_being_written_is_left_alone(root, writer):
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
    assert blobs.create("a/2", b"x", tags={}) == Taken()
    blobs.replace("a/2", b"y", tags={})
    list(blobs.get("a/1"))
    next(blobs.get("a/1"))
    blobs.get("a/1")
    with pytest.raises(ZeroDivisionError):
        blobs.put("a/3", (bytes(1 // n) for n in (1, 0)), media_type="x/y")

    assert descriptors() == before
    assert files(root) == ["a/1", "a/2", "a/first"]


def test_a_reader_keeps_its_bytes_while_the_blob_is_deleted(root):
    blobs = LocalBlobs(root)
    body = os.urandom(3 * MIB)
    put(blobs, KEY, body)
    reader = blobs.get(KEY)
    first = next(reader)

    blobs.delete([KEY])

    assert first + b"".join(reader) == body


def test_the_bytes_and_every_folder_of_the_name_are_synced_before_the_answer(root, monkeypatch):
    synced, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(str(Path(f"/proc/self/fd/{fd}").readlink())), fsync(fd)))

    put(LocalBlobs(root), "a/b/c", b"x")

    assert synced[0].startswith(f"{root}/.drafts/")
    assert synced[1:] == [f"{root}/a/b", f"{root}/a", f"{root}"]
    assert (root / "a/b/c").exists()
