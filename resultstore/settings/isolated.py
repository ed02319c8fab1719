"""Settings of tests: the same on every machine, because the environment is not read."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from resultstore.settings.settings import settings_known

TEST_KEY = "resultstore-tests-only-not-a-secret"
TEST_URL = "http://blobs.test"


def isolated_settings(folder: Path, given: Mapping[str, object]) -> dict[str, object]:
    """Return a value for every setting, as `Settings(**values)` takes them: what is given, else what tests use.

    Results are kept in memory, blobs in `folder`; they are signed with a fixed key. URLs of blobs are signed too; they
    begin with `TEST_URL`, where nothing answers. Raises TypeError for an unknown setting.
    """
    known = settings_known()
    if unknown := sorted(given.keys() - known.keys()):
        raise TypeError(f"there is no setting {', '.join(map(repr, unknown))}")
    fixed = {
        "index_url": "memory://",
        "blobs_url": folder.resolve().as_uri(),
        "secret_key": TEST_KEY,
        "bytes_url": TEST_URL,
    }
    return {name: setting.default for name, (_, setting) in known.items()} | fixed | dict(given)


@contextmanager
def variables_hidden(names: Sequence[str]) -> Iterator[None]:
    """Remove these variables from the environment until the block ends."""
    hidden = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)
