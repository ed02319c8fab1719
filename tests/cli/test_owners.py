"""The commands rebuild and erase."""

from functools import partial

import pytest

from resultstore import Settings, connect
from resultstore.store.attempt import Attempt, running


@pytest.fixture
def prefix(tmp_path) -> dict[str, str]:
    """The Redis is shared: keys of this test's own."""
    return {"RESULTSTORE_INDEX_PREFIX": f"{tmp_path.name}:"}


@pytest.fixture
def command(run, prefix):
    return partial(run, **prefix)


@pytest.fixture
def store(place, prefix):
    """Two owners' results."""
    made = connect(Settings.of(place.variables() | prefix))
    for owner in ("ann", "bob"):
        attempt = Attempt(f"{owner}s", owner=owner)
        with running(attempt):
            made.put(b"content", name="out.txt")
        made.save(made.seal(attempt))
    return made


def lose(store) -> None:
    for key in store.index.client.scan_iter(f"{store.settings.index.key_prefix}*"):
        store.index.client.delete(key)


def test_rebuild_lists_what_was_lost(store, command):
    lose(store)
    assert list(store.ids(owner="ann")) == []

    done = command("rebuild", "--json")

    assert done.told == {"seals": 2, "listed": 2, "unreadable": 0}
    assert list(store.ids(owner="ann")) == ["anns"]
    assert [one["id"] for one in command("ls", "--owner", "ann", "--json").told] == ["anns"]


def test_erase_deletes_one_owners_and_asks_before(store, command):
    assert command("erase", "ann").code == 1, "it was not confirmed"
    assert store.load("anns") is not None

    done = command("erase", "ann", "--yes", "--json")

    assert done.told == {"results": 1, "arguments": 0}
    assert store.load("anns") is None
    assert store.load("bobs") is not None
    left = [key.decode() for key in store.index.client.scan_iter(f"{store.settings.index.key_prefix}*{{ann}}*")]
    assert left == []
