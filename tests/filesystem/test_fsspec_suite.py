"""fsspec's own abstract suite, the part that reads: every test whose tree of files can exist in two levels."""

import inspect
from hashlib import md5
from pathlib import PurePosixPath

import pytest
from fsspec.tests.abstract import AbstractFixtures, AbstractGetTests

from resultstore.filesystem import ResultStoreFileSystem
from resultstore.store.attempt import Attempt, running

# These need a folder next to files, or a folder in a folder; a Result holds files only.
NEEDS_DEEPER_TREES = {
    "test_get_directory_to_existing_directory",
    "test_get_directory_to_new_directory",
    "test_get_directory_without_files_with_same_name_prefix",
    "test_get_glob_edge_cases",
    "test_get_glob_to_existing_directory",
    "test_get_glob_to_new_directory",
}
DEEPER_FIXTURES = {"fs_bulk_operations_scenario_0", "fs_glob_edge_cases_files", "fs_dir_and_file_with_same_name_prefix"}


class FileSystemWithFolders(ResultStoreFileSystem):
    """What the suite's own tests need beside reading: `mkdir` and `touch` make a Result with an empty file."""

    def mkdir(self, path, **_):
        """Do nothing: a Result begins with its first Artifact."""

    def touch(self, path, **_):
        put(self.store, path.split("/")[0], {path.split("/")[1]: b""})


def put(store, result_id: str, files: dict[str, bytes]) -> None:
    with running(Attempt(result_id)) as attempt:
        for name, content in files.items():
            store.put(content, name=name)
    store.save(store.seal(attempt))


class TestGet(AbstractFixtures, AbstractGetTests):
    """The suite's tests that copy from a filesystem; the folder `subdir` of its tree is a Result next to `source`."""

    @pytest.fixture
    def fs(self, store):
        return FileSystemWithFolders(store=store, skip_instance_cache=True)

    @pytest.fixture
    def fs_path(self):
        return ""

    @pytest.fixture
    def fs_join(self):
        def join(*segments: str) -> str:
            path = str(PurePosixPath(*segments)) + "/" * segments[-1].endswith("/")
            return path.removeprefix("source/") if "/subdir" in path else path

        return join

    @pytest.fixture
    def fs_bulk_operations_scenario_0(self, store):
        put(store, "source", {"file1": b"", "file2": b""})
        put(store, "subdir", {"subfile1": b"", "subfile2": b""})
        return "source"

    @pytest.fixture
    def fs_10_files_with_hashed_names(self, store):
        put(store, "source", {f"{md5(str(n).encode()).hexdigest()}.txt": str(n).encode() for n in range(10)})
        return "source"

    locals().update(dict.fromkeys(NEEDS_DEEPER_TREES))


def test_left_out_are_those_that_need_folders():
    """Of the suite's tests only those are left out that nest folders."""
    known = {name: one for name, one in vars(AbstractGetTests).items() if name.startswith("test_")}
    assert known.keys() >= NEEDS_DEEPER_TREES
    for name in NEEDS_DEEPER_TREES:
        assert DEEPER_FIXTURES.intersection(inspect.signature(known[name]).parameters)
    assert len(known) - len(NEEDS_DEEPER_TREES) >= 8


def test_get_copies_a_whole_result(store, tmp_path):
    fs = ResultStoreFileSystem(store=store, skip_instance_cache=True)
    put(store, "one", {"a.txt": b"a", "b.txt": b"b"})
    put(store, "two", {"c.csv": b"c"})
    fs.get("one", str(tmp_path / "copy"), recursive=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "copy").iterdir()} == {"a.txt": b"a", "b.txt": b"b"}
    fs.get("one/*.txt", str(tmp_path / "some") + "/")
    assert sorted(path.name for path in (tmp_path / "some").iterdir()) == ["a.txt", "b.txt"]
    fs.get("", str(tmp_path / "all") + "/", recursive=True)
    assert sorted(str(path.relative_to(tmp_path / "all")) for path in (tmp_path / "all").rglob("*.*")) == [
        "one/a.txt",
        "one/b.txt",
        "two/c.csv",
    ]
