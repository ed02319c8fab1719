"""The filesystem over stores without servers, and a record of what it fetches."""

from pathlib import Path

import pytest

from resultstore import Settings, Store, connect
from resultstore.filesystem import ResultStoreFileSystem


@pytest.fixture(params=["memory", "local"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    blobs_url = "memory://" if request.param == "memory" else f"file://{tmp_path}/blobs"
    return connect(Settings(index_url="memory://", blobs_url=blobs_url, secret_key="k" * 32, commit_budget_s=1))


@pytest.fixture
def fs(store: Store) -> ResultStoreFileSystem:
    return ResultStoreFileSystem(store=store, skip_instance_cache=True)


@pytest.fixture
def fetched(store: Store, monkeypatch) -> list[tuple[str, int, int]]:
    """Key, start and length of every read of a content blob from now on, as the store is asked for it."""
    asked: list[tuple[str, int, int]] = []
    get = store.blobs.get

    def counted(key: str, *, start: int = 0, size_bytes: int | None = None):
        chunks = get(key, start=start, size_bytes=size_bytes)
        if not key.startswith("blobs/"):
            yield from chunks
            return
        sent = 0
        try:
            for chunk in chunks:
                sent += len(chunk)
                yield chunk
        finally:
            asked.append((key, start, sent))

    monkeypatch.setattr(store.blobs, "get", counted)
    return asked
