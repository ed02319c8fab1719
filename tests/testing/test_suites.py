"""The shipped suites: a sound driver passes, and a broken one learns which sentences it breaks."""

import inspect

import pytest

from resultstore.blobs.blobstore import Created
from resultstore.blobs.memory import MemoryBlobs
from resultstore.index.memory.driver import MemoryIndex
from resultstore.testing import (
    EVENT_PROMISES,
    LIST_PROMISES,
    MULTIPART_PROMISES,
    READING_PROMISES,
    RECORD_PROMISES,
    WRITING_PROMISES,
    ContractBroken,
    Promise,
    blobs_reading,
    blobs_writing,
    check_blobs,
    check_index,
    index_events,
    index_keys,
    index_lists,
    index_records,
    index_tombstones,
    multipart,
)


class CreatesTwice(MemoryBlobs):
    def create(self, key, body, *, tags):
        self.replace(key, body, tags=tags)
        return Created(self.stat(key).etag)


class ForgetsTombstones(MemoryIndex):
    def write_tombstone(self, result_id, *, owner, ttl_s):  # noqa: ARG002
        self.delete(result_id)


class ListsTooMuch(MemoryBlobs):
    def list(self, prefix):  # noqa: ARG002
        return super().list("")


def test_sound_driver_passes():
    check_blobs(MemoryBlobs)


@pytest.mark.parametrize(
    ("driver", "sentence", "count"),
    [
        (CreatesTwice, "create: the first caller receives Created with the entity tag, a later one AlreadyExists.", 4),
        (ListsTooMuch, "list: yields exactly the keys that begin with the prefix.", 2),
    ],
)
def test_broken_driver_learns_each_broken_sentence(driver, sentence, count):
    with pytest.raises(ContractBroken) as broken:
        check_blobs(driver)

    assert f"{count} sentences of the contract are broken" in str(broken.value)
    assert sentence in str(broken.value)


def test_broken_index_learns_each_broken_sentence():
    with pytest.raises(ContractBroken) as broken:
        check_index(ForgetsTombstones)

    assert "write_tombstone: replaces every record, and all reads return a deleted Result." in str(broken.value)
    assert "never_overwrites_success" not in str(broken.value)


def test_error_of_a_driver_is_named():
    def check(blobs):
        """stat: raises nothing."""
        blobs.stat("none")

    with pytest.raises(ContractBroken, match=r"stat: raises nothing\.\s+broken \(check\): BlobMissing: .* none"):
        Promise(check).check(MemoryBlobs())


@pytest.mark.parametrize(
    ("modules", "promises"),
    [
        ([blobs_reading], READING_PROMISES),
        ([blobs_writing], WRITING_PROMISES),
        ([multipart], MULTIPART_PROMISES),
        ([index_records, index_tombstones, index_keys], RECORD_PROMISES),
        ([index_lists], LIST_PROMISES),
        ([index_events], EVENT_PROMISES),
    ],
)
def test_suite_holds_every_promise_of_its_modules(modules, promises):
    written = {
        name
        for module in modules
        for name, check in inspect.getmembers(module, inspect.isfunction)
        if check.__module__ == module.__name__ and not name.startswith("_")
    }

    assert {promise.name for promise in promises} == written
    assert all(promise.sentence.endswith(".") for promise in promises)
