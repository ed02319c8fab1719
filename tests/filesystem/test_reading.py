"""Reading: ranges are fetched by whole blocks, and no byte of a damaged block is returned."""

import pickle
import random

import fsspec
import pytest

from resultstore import ChecksumMismatch
from resultstore.blobs.stream import BLOCK_BYTES
from resultstore.filesystem import ResultStoreFileSystem
from resultstore.store.attempt import Attempt, running

CONTENT = random.Random(7).randbytes(5 * BLOCK_BYTES + 12_345)
RANGES = [
    (0, 1),
    (0, BLOCK_BYTES),
    (BLOCK_BYTES - 1, BLOCK_BYTES + 1),
    (3 * BLOCK_BYTES + 5, 5 * BLOCK_BYTES + 6),
    (len(CONTENT) - 1, len(CONTENT)),
    (-3, None),
    (None, None),
    (7, -BLOCK_BYTES),
    (9, 3),
    (len(CONTENT), len(CONTENT) + 5),
]


@pytest.fixture(params=[False, True], ids=["raw", "zstd"])
def path(request, store) -> str:
    return "resultstore://" + store.put(CONTENT, name="a.bin", id="one", compress=request.param).id + "/a.bin"


@pytest.mark.parametrize(("start", "end"), RANGES)
def test_range_has_the_bytes_of_a_slice(fs, path, start, end):
    assert fs.cat_file(path, start, end) == CONTENT[start:end]


def test_cat_ranges_answers_in_order(fs, path):
    starts, ends = [list(each) for each in zip(*RANGES, strict=True)]
    found = fs.cat_ranges([path] * len(RANGES), starts, ends)
    assert found == [CONTENT[start:end] for start, end in RANGES]


def test_cat_ranges_fetches_neighbours_together(fs, store, fetched):
    store.put(CONTENT, name="a.bin", id="one")
    far = 4 * BLOCK_BYTES
    found = fs.cat_ranges(["one/a.bin"] * 3, [far, 10, 500_000], [far + 10, 20, 500_010])
    assert found == [CONTENT[far : far + 10], CONTENT[10:20], CONTENT[500_000:500_010]]
    assert sorted((start, size) for _, start, size in fetched) == [(0, BLOCK_BYTES), (far, BLOCK_BYTES)]


def test_cat_ranges_returns_or_raises_errors(fs, path):
    found = fs.cat_ranges([path, "one/missing"], 0, 2)
    assert found[0] == CONTENT[:2]
    assert isinstance(found[1], FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        fs.cat_ranges([path, "one/missing"], 0, 2, on_error="raise")


def test_any_seek_reads_the_content(fs, path):
    chance = random.Random(11)
    with fs.open(path) as file:
        for _ in range(60):
            start, size = chance.randrange(len(CONTENT)), chance.choice([1, 100, 70_000, 1_500_000])
            file.seek(start)
            assert file.read(size) == CONTENT[start : start + size]
        file.seek(0)
        assert file.read() == CONTENT


def test_small_read_fetches_one_block(fs, store, fetched):
    store.put(CONTENT, name="a.bin", id="one")
    with fs.open("one/a.bin") as file:
        file.seek(2 * BLOCK_BYTES + 100)
        file.read(50)
        file.seek(2 * BLOCK_BYTES)
        file.read(1000)
    assert [(start, size) for _, start, size in fetched] == [(2 * BLOCK_BYTES, BLOCK_BYTES)]


def test_reading_in_order_fetches_nothing_twice(fs, store, fetched):
    content = CONTENT * 6
    store.put(content, name="a.bin", id="one")
    with fs.open("one/a.bin") as file:
        while file.read(100_000):
            pass
    assert sum(size for _, _, size in fetched) == len(content)
    assert len(fetched) < 12  # reads ahead, by more each time


@pytest.mark.parametrize("packed", [False, True], ids=["raw", "zstd"])
def test_damaged_block_is_never_returned(fs, store, monkeypatch, packed):
    artifact = store.put(CONTENT, name="a.bin", id="one", compress=packed)
    where, get = 2 * BLOCK_BYTES + 77, store.blobs.get

    def damaged(key, *, start=0, size_bytes=None):
        stored = bytearray(b"".join(get(key)))
        if key == artifact.key:
            stored[where] ^= 1
        return iter([bytes(stored[start : None if size_bytes is None else start + size_bytes])])

    monkeypatch.setattr(store.blobs, "get", damaged)
    assert fs.cat_file("one/a.bin", 0, 1000) == CONTENT[:1000]  # other blocks are as they were written
    with pytest.raises(ChecksumMismatch, match=r"a\.bin of one"):
        fs.cat_file("one/a.bin", 2 * BLOCK_BYTES + 100_000, 3 * BLOCK_BYTES)
    with fs.open("one/a.bin") as file, pytest.raises(ChecksumMismatch):
        file.read()


@pytest.mark.parametrize("cut", [1, BLOCK_BYTES, 3 * BLOCK_BYTES])
def test_shortened_blob_is_damage(fs, store, monkeypatch, cut):
    artifact, get = store.put(CONTENT, name="a.bin", id="one"), store.blobs.get

    def shortened(key, *, start=0, size_bytes=None):
        stored = b"".join(get(key))
        stored = stored[:-cut] if key == artifact.key else stored
        return iter([stored[start : None if size_bytes is None else start + size_bytes]])

    monkeypatch.setattr(store.blobs, "get", shortened)
    with pytest.raises(ChecksumMismatch):
        fs.cat_file("one/a.bin", len(CONTENT) - 10, None)


def test_other_owners_file_is_refused_in_a_task(fs, store):
    with running(Attempt("hers", owner="alice")) as attempt:
        store.put(b"hers", name="a.txt")
    store.save(store.seal(attempt))
    assert fs.cat_file("hers/a.txt") == b"hers"
    with running(Attempt("his", owner="bob")), pytest.raises(PermissionError, match="belongs to another owner"):
        fs.cat_file("hers/a.txt")


def test_storage_options_are_settings_by_name(tmp_path):
    options = {"blobs_url": tmp_path.as_uri(), "index_url": "memory://", "secret_key": "k" * 32}
    fs = fsspec.filesystem("resultstore", **options)
    assert isinstance(fs, ResultStoreFileSystem)
    fs.store.put(b"one", name="a.txt", id="one")
    with fsspec.open("resultstore://one/a.txt", **options) as file:
        assert file.read() == b"one"
    assert pickle.loads(pickle.dumps(fs)).store.settings.blobs.url == tmp_path.as_uri()
    with pytest.raises(TypeError, match="blobs_ur"):
        _ = fsspec.filesystem("resultstore", blobs_ur="x").store


def test_damaged_download_keeps_the_earlier_file(fs, store, monkeypatch, tmp_path):
    artifact, get = store.put(CONTENT, name="a.bin", id="one"), store.blobs.get
    wrong = bytes(len(CONTENT))
    target = tmp_path / "there" / "a.bin"
    fs.get("one/a.bin", str(target))
    assert target.read_bytes() == CONTENT

    def damaged(key, **where):
        start = where.get("start", 0)
        return iter([wrong[start:]]) if key == artifact.key else get(key, **where)

    monkeypatch.setattr(store.blobs, "get", damaged)
    with pytest.raises(ChecksumMismatch):
        fs.get("one/a.bin", str(target))

    assert target.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [target]


def test_get_writes_through_a_link(fs, store, tmp_path):
    store.put(b"new", name="a.txt", id="one")
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real")

    fs.get_file("one/a.txt", tmp_path / "link")

    assert (tmp_path / "real").read_bytes() == b"new"
