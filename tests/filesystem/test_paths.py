"""Paths and listings: any id and any name have one path, and nothing is ever written by one."""

import errno
from datetime import UTC, datetime

import fsspec
import pytest
from hypothesis import given, settings, strategies

from resultstore.filesystem import ResultStoreFileSystem
from resultstore.filesystem.paths import path_of, split_path
from resultstore.model.result import Result, State
from resultstore.store.attempt import Attempt, running

ODD = ["a/b", "..", ".", "a b", "50%", "%41", "naïve", "*?[x]", "a::b", "file://x", "#1?q=2", "\\", "日本", "a\nb"]


@given(strategies.text(min_size=1), strategies.text())
@settings(max_examples=300)
def test_path_gives_back_id_and_name(result_id, name):
    path = path_of(result_id, name)
    assert split_path("resultstore://" + path) == (result_id, name)
    assert path.isascii()
    assert path.count("/") == bool(name)


@pytest.mark.parametrize("result_id", ODD)
def test_any_id_is_found_by_its_path(fs, store, result_id):
    store.put(b"odd", name="50% [a]*?#.txt", id=result_id)
    folder = path_of(result_id)
    assert fs.ls("", detail=False) == [folder]
    assert fs.isdir(f"resultstore://{folder}/")
    [file] = fs.ls(folder, detail=False)
    assert fs.cat(file) == b"odd"
    assert fs.cat(fs.unstrip_protocol(file)) == b"odd"
    assert fs.glob(f"{folder}/50%25*.txt") == [file]
    assert fs.find("") == [file]
    assert list(fs.walk("", maxdepth=2)) == [("", [folder], []), (folder, [], [file.rpartition("/")[2]])]


@pytest.mark.parametrize("result_id", [".", "..", "...", "../../x"])
def test_copies_stay_in_their_folder(fs, store, tmp_path, result_id):
    store.put(b"odd", name="a.txt", id=result_id)
    target = tmp_path / "one" / "two" / "target"
    fs.get("", f"{target}/", recursive=True)
    assert [path.read_bytes() for path in target.rglob("a.txt")] == [b"odd"]
    assert [path for path in tmp_path.rglob("a.txt") if not path.is_relative_to(target)] == []
    assert {".", ".."}.isdisjoint(path_of(result_id).split("/"))


def test_plain_characters_need_no_escape(fs, store):
    store.put(b"plain", name="sales report.csv", id="one")
    assert fs.cat("resultstore://one/sales report.csv") == b"plain"


def test_info_says_what_is_stored(fs, store):
    artifact = store.put(b"a,b\n", name="a.csv", id="one", metadata={"rows": 1})
    info = fs.info("one/a.csv")
    assert info["size"] == 4
    assert info["type"] == "file"
    assert (info["sha256"], info["media_type"], info["metadata"]) == (artifact.sha256, "text/csv", {"rows": 1})
    assert fs.checksum("one/a.csv") == fs.ukey("one/a.csv") == artifact.sha256
    assert abs((fs.modified("one/a.csv") - datetime.now(UTC)).total_seconds()) < 3600
    assert fs.info("one") | {"mtime": 0} == {
        "name": "one", "size": 0, "type": "directory", "state": "SUCCESS", "owner": "", "mtime": 0
    }  # fmt: skip
    assert fs.info("")["type"] == "directory"


def test_root_lists_the_owners_newest(store):
    for number, owner in enumerate(["alice", "bob", "alice"]):
        attempt = Attempt(f"{owner}{number}", owner=owner)
        attempt.started_at += number
        with_file(store, attempt)
    mine = ResultStoreFileSystem(store=store, owner="alice")
    assert mine.ls("", detail=False) == ["alice2", "alice0"]
    assert ResultStoreFileSystem(store=store, owner="alice", listed=1).ls("", detail=False) == ["alice2"]
    assert ResultStoreFileSystem(store=store, owner="carol").ls("") == []


def with_file(store, attempt: Attempt) -> None:
    with running(attempt):
        store.put(b"one", name="a.txt")
    store.save(store.seal(attempt))


def test_root_leaves_out_results_without_files(fs, store):
    store.save(Result(id="value", state=State.SUCCESS, value=b"1"))
    store.put(b"one", name="a.txt", id="file")
    assert fs.ls("", detail=False) == ["file"]
    assert fs.ls("value") == []


@pytest.mark.parametrize("path", ["unknown", "unknown/a.txt", "one/b.txt"])
def test_unknown_path_is_not_found(fs, store, path):
    store.put(b"one", name="a.txt", id="one")
    assert not fs.exists(path)
    for read in (fs.info, fs.ls, fs.cat_file, fs.open):
        with pytest.raises(FileNotFoundError):
            read(path)


def test_folder_cannot_be_opened(fs, store):
    store.put(b"one", name="a.txt", id="one")
    with pytest.raises(IsADirectoryError):
        fs.open("one")


def test_deeper_path_is_refused(fs):
    with pytest.raises(FileNotFoundError, match="%2F"):
        fs.info("a/b/c")
    assert not fs.exists("a/b/c")


def test_deleted_result_is_not_found(fs, store):
    store.put(b"one", name="a.txt", id="one")
    store.delete("one")
    assert not fs.exists("one/a.txt")
    assert fs.ls("") == []


@pytest.mark.parametrize(
    "write",
    [
        lambda fs: fs.open("one/b.txt", "wb"),
        lambda fs: fs.open("one/b.txt", "ab"),
        lambda fs: fs.pipe("one/b.txt", b"x"),
        lambda fs: fs.rm("one/a.txt"),
        lambda fs: fs.rm("one", recursive=True),
        lambda fs: fs.rm_file("one/a.txt"),
        lambda fs: fs.mkdir("two"),
        lambda fs: fs.makedirs("two"),
        lambda fs: fs.rmdir("one"),
        lambda fs: fs.touch("one/b.txt"),
        lambda fs: fs.cp("one/a.txt", "one/b.txt"),
        lambda fs: fs.mv("one/a.txt", "one/b.txt"),
        lambda fs: fs.put(__file__, "one/b.txt"),
    ],
)
def test_nothing_can_be_written(fs, store, write):
    store.put(b"one", name="a.txt", id="one")
    with pytest.raises(OSError, match="read-only") as refused:
        write(fs)
    assert refused.value.errno == errno.EROFS
    assert fs.find("") == ["one/a.txt"]


def test_protocol_is_known_to_fsspec(store):
    assert fsspec.get_filesystem_class("resultstore") is ResultStoreFileSystem
