"""Overwritten objects, without our key: the error names them, and none of them is read into memory."""

import time
from collections.abc import Iterator

import msgspec
import pytest

from resultstore import (
    ChecksumMismatch,
    CommitUnknown,
    LayoutUnreadable,
    SealUnreadable,
    Settings,
    State,
    Store,
    TooLarge,
)
from resultstore.blobs.memory import MemoryBlobs
from resultstore.capture.spills import Spills
from resultstore.index.memory.driver import MemoryIndex
from resultstore.model import layout
from resultstore.model.errors import BlobStoreUnavailable
from resultstore.model.result import Failure, Result
from resultstore.ops.sweep import sweep
from resultstore.store.attempt import Attempt, running
from resultstore.store.capabilities import read_marker

MIB = 1 << 20


class Endless(MemoryBlobs):
    """Serves an object without end under the keys in `endless`, and counts the MiB that were taken."""

    def __init__(self) -> None:
        super().__init__()
        self.endless: set[str] = set()
        self.taken = 0

    def get(self, key: str, *, start: int = 0, size_bytes: int | None = None) -> Iterator[bytes]:
        return self._chunks() if key in self.endless else super().get(key, start=start, size_bytes=size_bytes)

    def _chunks(self) -> Iterator[bytes]:
        while True:
            self.taken += 1
            assert self.taken < 100, "it is read without a limit"
            yield bytes(MIB)


@pytest.fixture
def blobs() -> Endless:
    return Endless()


@pytest.fixture
def store(blobs: Endless) -> Store:
    settings = Settings(index_url="memory://", blobs_url="memory://", secret_key="k" * 32, commit_budget_s=1)
    return Store(index=MemoryIndex(), blobs=blobs, signer=None, settings=settings)


def overwritten(store: Store, result_id: str) -> bytes:
    """Overwrite the seal, and lose the record; return the old content."""
    key = layout.seal_key(result_id)
    before = b"".join(store.blobs.get(key))
    store.blobs.replace(key, b'{"format":1,"id":"job","state":"SUCCESS"}', tags={})
    store.index.delete(result_id)
    return before


def test_huge_seal_is_not_read_whole(store: Store, blobs: Endless):
    store.put(b"content", id="job")
    store.index.delete("job")
    blobs.endless.add(layout.seal_key("job"))

    with pytest.raises(SealUnreadable, match=r"seal of job is longer .* overwritten"):
        store.load("job")

    assert blobs.taken == 1


def test_sweep_passes_by_a_huge_seal(store: Store, blobs: Endless, monkeypatch: pytest.MonkeyPatch):
    store.put(b"content", id="job", retention="1d")
    store.put(b"content", id="other", retention="1d")
    blobs.endless.add(layout.seal_key("job"))
    later = time.time() + 9 * layout.DAY_S
    monkeypatch.setattr(blobs, "now", lambda: later)

    assert sweep(blobs, store.signatures.macs).seals == 1

    assert blobs.taken == 1


def test_huge_layout_is_not_read_whole(store: Store, blobs: Endless):
    blobs.endless.add(layout.LAYOUT_KEY)

    with pytest.raises(LayoutUnreadable, match="longer"):
        read_marker(blobs, store.signatures.macs)

    assert blobs.taken == 1


def test_huge_sections_are_not_read_whole(store: Store, blobs: Endless):
    attempt = Attempt("job")
    with running(attempt):
        store.put(b"content", name="part", metadata={"note": "x" * 100_000})
    store.seal(attempt, value=b"v" * 100_000)
    sections = [key for key in attempt.keys if not key.endswith(".0")]
    blobs.endless.update(sections)
    store.index.delete("job")

    with pytest.raises(ChecksumMismatch, match="section of the seal of job is damaged"):
        store.load("job")

    assert len(sections) == 2
    assert blobs.taken == 1


@pytest.mark.parametrize("compress", [True, False])
def test_huge_spilled_value_is_not_read_whole(store: Store, blobs: Endless, *, compress: bool):
    spills = Spills(store)
    spill = spills.keep_argument(b"v" * 50_000, media_type="application/json", compress=compress)
    blobs.endless.add(spill.key)

    with pytest.raises(ChecksumMismatch, match="longer"):
        spills.payload(spill)

    assert blobs.taken == 1


def test_huge_part_is_not_read_whole(store: Store, blobs: Endless):
    attempt = Attempt("job")
    with running(attempt):
        part = store.put(bytes(3 * MIB), name="part")
    blobs.endless.add(part.key)

    with pytest.raises(ChecksumMismatch, match="part of job is damaged"):
        store.open(part).read()

    assert blobs.taken <= 4


def test_no_seal_is_written_that_none_can_read(store: Store, blobs: Endless):
    with pytest.raises(TooLarge, match="shorten its id"):
        store.put(b"content", id="i" * 600_000)

    assert list(blobs.list("")) == []


def test_overwritten_seal_is_named_by_every_reader(store: Store):
    store.put(b"content", id="job")
    before = overwritten(store, "job")

    for ask in (store.load, store.peek, lambda one: store.wait(one, timeout_s=1)):
        with pytest.raises(SealUnreadable, match="seal of job"):
            ask("job")
    with pytest.raises(CommitUnknown, match="seal of job"):
        store.put(b"content", id="job")

    store.blobs.replace(layout.seal_key("job"), before, tags={})
    assert store.load("job").state == State.SUCCESS


@pytest.mark.parametrize("state", [State.FAILURE, State.REVOKED])
def test_late_failure_does_not_hide_an_overwritten_seal(store: Store, state: State):
    # given
    store.put(b"content", id="job")
    before = overwritten(store, "job")

    # when
    store.save(Result(id="job", state=state, failure=Failure("ValueError", "of a second attempt")))

    # then
    for _ in range(2):
        with pytest.raises(SealUnreadable, match="seal of job"):
            store.load("job")
    told = store.index.load("job")
    assert (told.state, told.failure.type) == (State.FAILURE, "SealUnreadable")
    store.blobs.replace(layout.seal_key("job"), before, tags={})
    assert store.load("job").state == State.SUCCESS


def test_late_failure_is_kept_without_evidence(store: Store, monkeypatch: pytest.MonkeyPatch):
    def away(*_: object, **__: object) -> Iterator[bytes]:
        raise BlobStoreUnavailable("away")

    monkeypatch.setattr(store.blobs, "get", away)

    store.save(Result(id="job", state=State.FAILURE, failure=Failure("ValueError", "why")))

    assert store.load("job").failure == Failure("ValueError", "why")


def test_forged_artifact_in_an_overwritten_seal_is_refused(store: Store):
    artifact = store.put(b"content", id="job")
    document = b"".join(store.blobs.get(layout.seal_key("job")))
    store.put(b"another", id="other")
    forged = msgspec.structs.replace(artifact, id="other")
    foreign = document.replace(b'"id":"job"', b'"id":"other"')

    store.blobs.replace(layout.seal_key("other"), foreign, tags={})
    store.index.delete("other")

    with pytest.raises(SealUnreadable, match="seal of other"):
        store.load("other")
    assert forged.mac == artifact.mac
