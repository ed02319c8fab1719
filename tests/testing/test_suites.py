"""The shipped suites: a sound driver passes, and a broken one learns which sentences it breaks."""

import inspect

import pytest

from resultstore.blobs.blobstore import Created
from resultstore.blobs.memory import MemoryBlobs
from resultstore.testing import (
    MULTIPART_PROMISES,
    READING_PROMISES,
    WRITING_PROMISES,
    ContractBroken,
    Promise,
    blobs_reading,
    blobs_writing,
    check_blobs,
    multipart,
)


class CreatesTwice(MemoryBlobs):
    def create(self, key, body, *, tags):
        self.replace(key, body, tags=tags)
        return Created(self.stat(key).etag)


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


def test_error_of_a_driver_is_named():
    def check(blobs):
        """stat: raises nothing."""
        blobs.stat("none")

    with pytest.raises(ContractBroken, match=r"stat: raises nothing\.\s+broken \(check\): BlobMissing: .* none"):
        Promise(check).check(MemoryBlobs())


@pytest.mark.parametrize(
    ("module", "promises"),
    [(blobs_reading, READING_PROMISES), (blobs_writing, WRITING_PROMISES), (multipart, MULTIPART_PROMISES)],
)
def test_suite_holds_every_promise_of_its_module(module, promises):
    written = {
        name
        for name, check in inspect.getmembers(module, inspect.isfunction)
        if check.__module__ == module.__name__ and not name.startswith("_")
    }

    assert {promise.name for promise in promises} == written
    assert all(promise.sentence.endswith(".") for promise in promises)
