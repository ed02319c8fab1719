"""Fixtures of the command line's tests: the program itself, in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from resultstore.connect import connect
from resultstore.settings import Settings
from resultstore.store import Store

FOREIGN = ("RESULTSTORE_", "RS_TEST_", "COLUMNS")


@dataclass
class Done:
    """How a command ended."""

    code: int
    out: bytes
    err: str

    @property
    def told(self) -> Any:
        """The JSON on stdout: exactly one document."""
        return json.loads(self.out)


@dataclass
class Place:
    """A folder of blobs and a Redis, as settings and as the environment of a command."""

    folder: Path
    redis_url: str

    def variables(self) -> dict[str, str]:
        return {
            "RESULTSTORE_INDEX_URL": self.redis_url,
            "RESULTSTORE_BLOBS_URL": (self.folder / "blobs").as_uri(),
            "RESULTSTORE_BROKER_URL": self.redis_url,
            "RESULTSTORE_SECRET_KEY": "a secret of the tests, 32 bytes.",
        }

    def store(self) -> Store:
        return connect(Settings.of(self.variables()))


@pytest.fixture
def place(tmp_path, redis_url) -> Place:
    return Place(tmp_path, redis_url)


@pytest.fixture
def run(place) -> Callable[..., Done]:
    """Run `resultstore ARGS...` in the place's folder; keywords are further variables, stdin its input."""

    def run(*args: str, stdin: bytes = b"", **variables: str) -> Done:
        return run_in(place.folder, place.variables() | variables, *args, stdin=stdin)

    return run


def run_in(folder: Path, variables: dict[str, str], *args: str, stdin: bytes = b"") -> Done:
    """Run `resultstore ARGS...` there, with these variables and none of ours."""
    rest = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    variables = {"RESULTSTORE_ACCEPT_FORGEABLE_STORE": "true"} | variables  # tests/conftest.py says why
    done = subprocess.run(
        [sys.executable, "-m", "resultstore.cli", *args],
        check=False,
        cwd=folder,
        env=rest | variables,
        input=stdin,
        capture_output=True,
        timeout=120,
    )
    return Done(done.returncode, done.stdout, done.stderr.decode())
