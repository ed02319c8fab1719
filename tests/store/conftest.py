"""Stores without servers: in memory, and in a folder."""

from pathlib import Path

import pytest

from resultstore import Settings, Store, connect


@pytest.fixture(params=["memory", "local"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    blobs_url = "memory://" if request.param == "memory" else f"file://{tmp_path}/blobs"
    return connect(Settings(index_url="memory://", blobs_url=blobs_url, secret_key="k" * 32, commit_budget_s=1))
