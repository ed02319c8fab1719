"""Damaged, lost and doubtful seals: what can be said about an id is said, and nothing else."""

import math
import os
import time
from pathlib import Path

import pytest

from resultstore import ArtifactExpired, ChecksumMismatch, CommitUnknown, ResultMissing, Settings, State, Store, connect
from resultstore.blobs.blobstore import OutcomeUnknown
from resultstore.blobs.memory import MemoryBlobs
from resultstore.index.memory.driver import MemoryIndex
from resultstore.model import layout
from resultstore.model.errors import BlobStoreUnavailable, IndexUnavailable
from resultstore.model.result import Failure, Result
from resultstore.store.attempt import Attempt, running


def many_parts(store: Store, attempt: Attempt) -> None:
    """More Artifacts than a seal holds: their list is moved into a blob."""
    with running(attempt):
        for number in range(250):
            store.put(b"%d" % number, name=f"part-{number}")


def lose(store: Store, key_part: str) -> None:
    store.blobs.delete([stored.key for stored in store.blobs.list("blobs/") if key_part in stored.key])


def test_damaged_seal_without_record_can_be_deleted(store: Store):
    artifact = store.put(b"one")
    store.blobs.replace(layout.seal_key(artifact.id), b"junk", tags={})
    store.index.delete(artifact.id)

    store.delete(artifact.id)

    assert store.load(artifact.id) is None
    assert list(store.blobs.list("blobs/")) == []


def test_result_without_its_list_can_be_deleted(store: Store):
    many_parts(store, attempt := Attempt("job"))
    store.seal(attempt)
    lose(store, attempt.nonce)
    store.index.delete("job")

    with pytest.raises(ChecksumMismatch, match="job is gone"):
        store.load("job")

    store.delete("job")
    assert store.load("job") is None


def test_behind_its_blobs_an_expired_result_says_expired(store: Store, monkeypatch: pytest.MonkeyPatch):
    """Lifecycle collects blobs two days before the seal: until then a reader gets the reason."""
    many_parts(store, attempt := Attempt("job"))
    store.seal(attempt)
    lose(store, attempt.nonce)
    store.index.delete("job")
    later = time.time() + 31 * layout.DAY_S
    monkeypatch.setattr(store.blobs, "now", lambda: later)

    with pytest.raises(ArtifactExpired, match="job has expired"):
        store.load("job")


def test_changed_value_blob_is_an_error(tmp_path: Path):
    store = connect(Settings(index_url="memory://", blobs_url=f"file://{tmp_path}", secret_key="k" * 32))
    store.seal(Attempt("job"), value=b"v" * 60_000)
    [stored] = store.blobs.list("blobs/")
    (tmp_path / stored.key).chmod(0o600)
    (tmp_path / stored.key).write_bytes(b"w" * 60_000)

    with pytest.raises(ChecksumMismatch, match="job"):
        store.value(store.load("job"))


def test_value_without_seal_is_missing_not_none(store: Store):
    store.save(store.seal(Attempt("job"), value=b"v" * 60_000).moved(State.SUCCESS, value=None))
    found = store.load("job")
    assert store.value(found) == b"v" * 60_000

    store.blobs.delete([layout.seal_key("job")])
    with pytest.raises(ResultMissing, match="job"):
        store.value(found)

    store.delete("job")
    with pytest.raises(ResultMissing, match="job"):
        store.value(found)


def test_refusal_after_unclear_answer_is_unknown(store: Store):
    """The first PUT was carried out and its answer lost; then the credentials ended: nothing is known to be refused."""
    answers = iter([OutcomeUnknown("cut"), None])

    def create(*_: object, **__: object) -> OutcomeUnknown:
        answer = next(answers)
        if answer is None:
            raise BlobStoreUnavailable("403 ExpiredToken")
        return answer

    attempt = Attempt("job")
    with running(attempt):
        artifact = store.put(b"content", name="part")
    store.blobs.create = create

    with pytest.raises(CommitUnknown, match="ExpiredToken"):
        store.seal(attempt)

    assert store.open(artifact).read() == b"content"


class LostAnswer(MemoryBlobs):
    """Commits the first seal and loses the answer; what is read back afterwards is damaged for `damaged` reads."""

    def __init__(self, damaged: float, keys: str = "seals/") -> None:
        super().__init__()
        self.damaged, self.keys, self.lost = damaged, keys, False

    def create(self, key, body, *, tags):
        answer = super().create(key, body, tags=tags)
        if self.lost:
            return answer
        self.lost = True
        return OutcomeUnknown("cut")

    def get(self, key, *, start=0, size_bytes=None):
        found = b"".join(super().get(key, start=start, size_bytes=size_bytes))
        if key.startswith(self.keys) and self.lost and self.damaged > 0:
            self.damaged -= 1
            found = found[:-9] + b"?" + found[-8:]
        return iter([found])


def on(blobs: LostAnswer) -> Store:
    settings = Settings(secret_key="k" * 32, commit_budget_s=1)
    return Store(index=MemoryIndex(), blobs=blobs, signer=None, settings=settings)


def test_seal_damaged_while_read_back_is_no_failure():
    store = on(LostAnswer(damaged=1))

    artifact = store.put(b"content")

    assert store.blobs.lost
    assert store.load(artifact.id).artifacts == (artifact,)


def test_own_seal_needs_no_readable_sections():
    store = on(LostAnswer(damaged=math.inf, keys="blobs/"))

    artifact = store.put(b"content", metadata={"note": "x" * 100_000})

    assert store.blobs.lost
    assert store.load(artifact.id).artifacts == (artifact,)


def test_seal_that_stays_damaged_leaves_outcome_unknown():
    store = on(LostAnswer(damaged=math.inf))

    with pytest.raises(CommitUnknown, match="job may or may not be stored"):
        store.put(b"content", id="job")

    store.blobs.damaged = 0
    assert store.open(store.load("job").artifacts[0]).read() == b"content"


def test_readable_seal_replaces_an_unclear_failure(store: Store):
    store.seal(Attempt("job"), value=b"1")
    doubt = Result(id="job", state=State.FAILURE, failure=Failure("CommitUnknown", "x" * 400), changed_at=time.time())
    store.index.save(doubt, ttl_s=60)

    assert store.load("job").state == State.SUCCESS
    assert store.index.load("job").value == b"1"


def test_unclear_failure_remains_without_a_seal(store: Store):
    store.save(Result(id="job", state=State.FAILURE, failure=Failure("CommitUnknown", "may or may not be stored")))

    assert store.load("job").state == State.FAILURE
    assert store.wait("job", timeout_s=0).state == State.FAILURE


def test_a_poll_without_the_index_reads_the_seal(store: Store):
    def down(_: str) -> None:
        raise IndexUnavailable("down")

    artifact = store.put(b"content")
    store.index.peek = down

    assert store.peek(artifact.id).state == State.SUCCESS
    with pytest.raises(IndexUnavailable):
        store.peek("unknown")


def test_expired_value_is_unreadable_everywhere(store: Store, monkeypatch: pytest.MonkeyPatch):
    for name, value in [("inline", b"1"), ("moved", b"v" * 60_000)]:
        store.seal(Attempt(name), value=value, retention="1d")
    later = time.time() + layout.DAY_S
    monkeypatch.setattr(time, "time", lambda: later)

    for name in ["inline", "moved"]:
        with pytest.raises(ArtifactExpired, match=name):
            store.value(store.load(name))
        assert store.index.peek(name) is None, "what has expired is not put back"


def test_restored_record_expires_with_its_result(store: Store):
    lives: list[int] = []
    save = store.index.save

    def saving(result: Result, *, ttl_s: int, over: object) -> bool:
        lives.append(ttl_s)
        return save(result, ttl_s=ttl_s, over=over)

    attempt = Attempt("job")
    attempt.started_at -= layout.DAY_S - 100
    store.seal(attempt, value=b"1", retention="1d")
    store.index.save = saving

    store.load("job")

    assert 90 <= lives[0] <= 100


def test_oversized_value_is_not_restored_to_index(store: Store):
    store.seal(Attempt("job"), value=b"v" * 20_000)

    assert store.value(store.load("job")) == b"v" * 20_000

    assert store.index.load("job").value is None
    assert store.value(store.load("job")) == b"v" * 20_000


def test_polling_a_deleted_id_is_cached(store: Store):
    artifact = store.put(b"one")
    store.delete(artifact.id)
    reads: list[str] = []
    get = store.blobs.get
    store.blobs.get = lambda key, **options: reads.append(key) or get(key, **options)

    for _ in range(20):
        assert store.load(artifact.id) is None

    assert len(reads) <= 1
    assert store.index.peek(artifact.id).deleted


def test_folder_serves_seals_of_other_processes(tmp_path):
    settings = Settings(index_url="memory://", blobs_url=f"file://{tmp_path}", secret_key="k" * 32)
    content = os.urandom(100)

    artifact = connect(settings).put(content, id="job")

    assert connect(settings).load("job").artifacts == (artifact,)
