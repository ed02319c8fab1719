"""ResultStoreFileSystem: Results as folders and their Artifacts as files, for every library that reads by fsspec."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NoReturn

from fsspec.callbacks import DEFAULT_CALLBACK, Callback
from fsspec.spec import AbstractFileSystem

from resultstore.connect import connect
from resultstore.filesystem.exits import wait_for_readers_at_exit
from resultstore.filesystem.file import CACHE, ResultStoreFile
from resultstore.filesystem.paths import PROTOCOL, path_of, split_path, strip_protocol
from resultstore.filesystem.spans import bounds_of, read_ranges
from resultstore.model.artifact import Artifact
from resultstore.model.errors import ArtifactMissing, NotThere, NotYours, ResultMissing
from resultstore.model.result import Result
from resultstore.settings import Settings
from resultstore.store import Store
from resultstore.store.ranges import RangeReader

_LISTED: Final = 1_000
_MAGIC: Final = frozenset("*?[")  # of glob patterns
_OF_FSSPEC: Final = frozenset(
    {"use_listings_cache", "listings_expiry_time", "max_paths", "asynchronous", "loop", "batch_size"}
)


class ResultStoreFileSystem(AbstractFileSystem):
    """Read-only filesystem: `resultstore://<id>` is a Result, `resultstore://<id>/<name>` one of its Artifacts.

    Id and name are percent-encoded in paths, and `ls` returns them so. The options are fsspec's `storage_options`.

    Args:
        store: reads from this Store; by default the one that the settings describe.
        owner: the root lists this owner's Results; by default all that the index knows.
        listed: how many Results the root lists at most.
        settings: settings by name, such as `blobs_url="s3://results"`; the others come from RESULTSTORE_* variables.
    """

    protocol = PROTOCOL
    root_marker = ""

    def __init__(
        self, *, store: Store | None = None, owner: str | None = None, listed: int = _LISTED, **settings: object
    ) -> None:
        super().__init__(**{name: settings.pop(name) for name in _OF_FSSPEC & settings.keys()})
        wait_for_readers_at_exit()
        self._given = store
        self._owner = owner
        self._listed = listed
        self._settings = settings

    @cached_property
    def store(self) -> Store:
        """The Store that is read."""
        return self._given or connect(Settings(**self._settings))

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:  # noqa: ANN401 - a path or a list of them
        return [strip_protocol(str(one)) for one in path] if isinstance(path, list) else strip_protocol(str(path))

    @classmethod
    def _parent(cls, path: str) -> str:
        return strip_protocol(path).rpartition("/")[0]

    def ls(self, path: str, detail: bool = True, **_: object) -> list[Any]:  # noqa: FBT001, FBT002 - fsspec's signature
        """List the Artifacts of a Result, or the Results of the root: the newest first if there is an `owner`.

        The root lists Results that have Artifacts. Raises FileNotFoundError.
        """
        with _os_errors(path):
            result_id, name = split_path(path)
            if name:
                found = [_file(*self._find(result_id, name))]
            elif result_id:
                result = self._result(result_id)
                found = [_file(result, one) for one in result.artifacts]
            else:
                ids = list(self.store.ids(owner=self._owner, limit=self._listed))
                found = [_folder(one) for one in self.store.load_many(ids) if one is not None and one.artifacts]
        return found if detail else [one["name"] for one in found]

    def info(self, path: str, **_: object) -> dict[str, Any]:
        """Return name, size and type; of a file also `sha256`, `media_type`, `file_name`, `metadata`, `mtime`."""
        with _os_errors(path):
            result_id, name = split_path(path)
            if name:
                return _file(*self._find(result_id, name))
            return _folder(self._result(result_id)) if result_id else _directory("")

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: object) -> bytes:
        """Return the content from `start` to `end`; negative positions count from the end."""
        ranges = self._ranges(path)
        first, after = bounds_of(start, end, ranges.size_bytes)
        return ranges.read(first, after - first)

    def cat_ranges(
        self,
        paths: list[str],
        starts: int | list[int] | None,
        ends: int | list[int] | None,
        max_gap: int | None = None,
        on_error: str = "return",
        **_: object,
    ) -> list[Any]:
        """Return many ranges, in their order; neighbouring ranges of a file are fetched by one request.

        Args:
            paths: a path for each range.
            starts: where each range begins, or one for all.
            ends: where each range ends, or one for all.
            max_gap: ranges at most so many bytes apart are fetched together; by default 1 MiB.
            on_error: "return" returns an exception in the place of its range, "raise" raises the first.
        """
        firsts = starts if isinstance(starts, list) else [starts] * len(paths)
        lasts = ends if isinstance(ends, list) else [ends] * len(paths)
        answers = read_ranges(self._ranges, list(zip(paths, firsts, lasts, strict=True)), max_gap=max_gap)
        if on_error == "raise":
            for one in answers:
                if isinstance(one, Exception):
                    raise one
        return answers

    def get(self, rpath: Any, lpath: Any, recursive: bool = False, **options: Any) -> Any:  # noqa: ANN401, FBT001, FBT002
        """Copy files or whole Results to local paths. A Result goes into a folder of its id if the target exists."""
        # fsspec finds the folder's name by the last slash of its path, and the path of a Result has none.
        is_result = isinstance(rpath, str) and recursive and "/" not in rpath.removeprefix(f"{PROTOCOL}://")
        name = self._strip_protocol(rpath) if is_result else ""
        if name and not _MAGIC.intersection(name) and isinstance(lpath, str | os.PathLike) and Path(lpath).is_dir():
            lpath = str(Path(lpath) / name)
        return super().get(rpath, lpath, recursive=recursive, **options)

    def get_file(
        self,
        rpath: Any,  # noqa: ANN401 - fsspec's
        lpath: Any = None,  # noqa: ANN401
        callback: Callback = DEFAULT_CALLBACK,
        outfile: Any = None,  # noqa: ANN401
        **options: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Copy one file to a local path, which is replaced when all bytes are there and verified."""
        is_path = outfile is None and isinstance(lpath, str | os.PathLike)
        if not is_path or not split_path(str(rpath))[1] or not _replaceable(Path(lpath)):
            return super().get_file(rpath, lpath, callback=callback, outfile=outfile, **options)
        target = Path(lpath).resolve()  # as before, the target of a link is written
        with _os_errors(str(rpath)):
            artifact = self._artifact(str(rpath))
            target.parent.mkdir(parents=True, exist_ok=True)
            callback.set_size(artifact.size_bytes)
            self.store.download(
                artifact, target, overwrite=True, progress=lambda done, _: callback.absolute_update(done)
            )
            callback.absolute_update(artifact.size_bytes)
        return None

    def sign(self, path: str, expiration: int = 100, **_: object) -> str:
        """Return a presigned URL of the Artifact that works for `expiration` seconds."""
        with _os_errors(path):
            return self.store.url(self._artifact(path), expires_in_s=expiration)

    def checksum(self, path: str) -> str:
        """Return the SHA-256 of the content in hex."""
        return str(self.info(path)["sha256"])

    ukey = checksum

    def modified(self, path: str) -> datetime:
        """Return when the Result ended; its Artifacts never change after that."""
        return datetime.fromtimestamp(self.info(path)["mtime"] or 0, tz=UTC)

    created = modified

    def _open(self, path: str, mode: str = "rb", cache_type: str = CACHE, **options: Any) -> ResultStoreFile:  # noqa: ANN401
        if mode != "rb":
            self._refuse(path)
        kept = {name: options[name] for name in ("cache_options", "block_size") if options.get(name) is not None}
        return ResultStoreFile(self, path, ranges=self._ranges(path), cache_type=cache_type, **kept)

    def _ranges(self, path: str) -> RangeReader:
        with _os_errors(path):
            return self.store.ranges(self._artifact(path))

    def _artifact(self, path: str) -> Artifact:
        return self._find(*split_path(path))[1]

    def _find(self, result_id: str, name: str) -> tuple[Result, Artifact]:
        result = self._result(result_id)
        if not name:
            raise IsADirectoryError(errno.EISDIR, "this is a Result: read one of its Artifacts", result_id)
        artifact = result.artifact(name)
        if artifact is None:
            raise ArtifactMissing(f"result {result_id} has no artifact {name!r}")
        return result, artifact

    def _result(self, result_id: str) -> Result:
        result = self.store.load(result_id) if result_id else None
        if result is None:
            raise ResultMissing(f"no result has the id {result_id!r}")
        return result

    def _refuse(self, *paths: object, **_: object) -> NoReturn:
        raise OSError(errno.EROFS, "resultstore:// is read-only: write by store.put or store.writer", str(paths[0]))

    mkdir = makedirs = rmdir = rm = rm_file = _rm = touch = cp_file = mv = pipe_file = put_file = _refuse


def _replaceable(path: Path) -> bool:
    """Return whether there is a file or nothing; a folder, a device or a pipe stays what it is."""
    return path.is_file() or not os.path.lexists(path)


def _directory(name: str) -> dict[str, Any]:
    return {"name": name, "size": 0, "type": "directory"}


def _folder(result: Result) -> dict[str, Any]:
    facts = {"state": str(result.state), "owner": result.owner, "mtime": result.ended_at or result.started_at}
    return {**_directory(path_of(result.id)), **facts}


def _file(result: Result, artifact: Artifact) -> dict[str, Any]:
    return {
        "name": path_of(artifact.id, artifact.name),
        "size": artifact.size_bytes,
        "type": "file",
        "mtime": result.ended_at or result.started_at,
        "sha256": artifact.sha256,
        "media_type": artifact.media_type,
        "file_name": artifact.file_name,
        "metadata": dict(artifact.metadata),
        "expires_at": artifact.expires_at,
    }


@contextmanager
def _os_errors(path: str) -> Iterator[None]:
    """Raise the errors of the operating system that callers of a filesystem expect."""
    try:
        yield
    except NotThere as error:
        raise FileNotFoundError(errno.ENOENT, str(error), path) from error
    except NotYours as error:
        raise PermissionError(errno.EACCES, str(error), path) from error
