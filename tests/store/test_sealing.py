"""One id, one outcome; what is sealed outlives its record."""

import threading
import time

import msgspec
import pytest

from resultstore import ArtifactExpired, BadReference, ResultMissing, SealUnreadable, State, Store
from resultstore.model import layout, seal as documents
from resultstore.model.errors import BlobStoreUnavailable
from resultstore.model.result import Result
from resultstore.store.attempt import Attempt, running


def made_by(store: Store, attempt: Attempt, content: bytes, name: str = "out"):
    with running(attempt):
        return store.put(content, name=name)


def test_put_outside_a_task_is_sealed(store: Store):
    artifact = store.put(b"content", name="a.txt", metadata={"width": 3})

    store.index.delete(artifact.id)
    found = store.load(artifact.id)

    assert found is not None
    assert found.state == State.SUCCESS
    assert found.sealed
    assert found.artifacts == (artifact,)


def test_a_look_up_puts_the_record_back(store: Store):
    artifact = store.put(b"content")
    store.index.delete(artifact.id)

    store.load(artifact.id)

    assert store.index.load(artifact.id).artifacts == (artifact,)


def test_part_of_running_task_is_visible_unsealed(store: Store):
    attempt = Attempt("job-1", task="images.resize")

    artifact = made_by(store, attempt, b"thumb")

    found = store.load("job-1")
    assert found.state == State.PROGRESS
    assert found.artifacts == (artifact,)
    assert list(store.blobs.list("seals/")) == []
    assert store.open(artifact).read() == b"thumb"


def test_one_of_sixteen_attempts_wins(store: Store):
    # given
    attempts = [Attempt("job-2") for _ in range(16)]
    for number, attempt in enumerate(attempts):
        made_by(store, attempt, b"content %d" % number)
    outcomes: list[Result] = []

    # when
    racers = [threading.Thread(target=lambda one=one: outcomes.append(store.seal(one))) for one in attempts]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()

    # then
    assert len({outcome.nonce for outcome in outcomes}) == 1
    assert len(outcomes) == 16
    kept = list(store.blobs.list("blobs/"))
    assert [stored.key for stored in kept] == [outcomes[0].artifacts[0].key]


def test_a_name_stands_once_in_a_result(store: Store):
    attempt = Attempt("job-3")
    made_by(store, attempt, b"1", "same")

    with pytest.raises(BadReference, match="same"):
        made_by(store, attempt, b"2", "same")


@pytest.mark.parametrize("value", [b"", b'{"a": 1}', b"\xff\x00binary", b"x" * 49_153, b"\xfe" * 48_000])
def test_a_sealed_value_comes_back_whatever_its_size(store: Store, value: bytes):
    attempt = Attempt("job-4")

    store.seal(attempt, value=value)

    assert store.value(store.load("job-4")) == value
    document = b"".join(store.blobs.get(layout.seal_key("job-4")))
    assert len(document) <= documents.SEAL_MAX_BYTES


def test_a_thousand_artifacts_leave_the_seal_small(store: Store):
    attempt = Attempt("job-5")
    for number in range(300):
        made_by(store, attempt, b"content %d" % number, f"part-{number}")

    store.seal(attempt, value=b"v" * 40_000)

    assert len(b"".join(store.blobs.get(layout.seal_key("job-5")))) <= documents.SEAL_MAX_BYTES
    found = store.load("job-5")
    store.index.delete("job-5")
    again = store.load("job-5")
    assert len(again.artifacts) == 300
    assert store.open(again.artifacts[299]).read() == b"content 299"
    assert found is not None


def test_a_swapped_seal_is_refused(store: Store):
    one, two = store.put(b"one"), store.put(b"two")
    document = b"".join(store.blobs.get(layout.seal_key(one.id)))

    store.blobs.replace(layout.seal_key(two.id), document, tags={})
    store.index.delete(two.id)

    with pytest.raises(SealUnreadable, match=two.id):
        store.load(two.id)


@pytest.mark.parametrize("change", ["digest", "field", "truncated", "empty", "newer"])
def test_a_seal_that_was_changed_is_refused(store: Store, change: str):
    artifact = store.put(b"one")
    key = layout.seal_key(artifact.id)
    document = b"".join(store.blobs.get(key))
    newer = documents.encode(
        msgspec.structs.replace(documents.decode(document, store.signatures.macs, id=artifact.id), format=2),
        store.signatures.macs,
    )
    changed = {
        "digest": document[:-4] + bytes(one ^ 1 for one in document[-4:-2]) + document[-2:],
        "field": document.replace(b'"state":"SUCCESS"', b'"state":"FAILURE"'),
        "truncated": document[:-10],
        "empty": b"",
        "newer": newer,
    }[change]

    store.blobs.replace(key, changed, tags={})
    store.index.delete(artifact.id)

    with pytest.raises(SealUnreadable, match=artifact.id):
        store.load(artifact.id)


def test_what_has_expired_is_unreadable_at_once(store: Store):
    artifact = store.put(b"one", name="report.pdf")
    expired = store.signatures.sign(msgspec.structs.replace(artifact, expires_at=int(time.time()) - 1))

    with pytest.raises(ArtifactExpired, match=r"report\.pdf of .* expired on"):
        store.open(expired)
    with pytest.raises(ArtifactExpired):
        store.url(expired)


def test_artifact_outside_the_content_is_refused(store: Store):
    artifact = store.put(b"one")
    for key in ["layout.json", layout.seal_key(artifact.id), "../secret", "blobs/1d/00/x/../../../secret"]:
        with pytest.raises(BadReference):
            store.open(store.signatures.sign(msgspec.structs.replace(artifact, key=key)))


def test_deleted_result_is_unknown_without_blobs(store: Store):
    artifact = store.put(b"one")

    store.delete(artifact.id)

    assert store.load(artifact.id) is None
    assert list(store.blobs.list("blobs/")) == []


def test_a_late_attempt_meets_the_tombstone(store: Store):
    attempt = Attempt("job-6")
    made_by(store, attempt, b"late")
    store.delete("job-6")

    with pytest.raises(ResultMissing, match="job-6"):
        store.seal(attempt)

    assert list(store.blobs.list("blobs/")) == []


def test_result_with_damaged_seal_can_be_deleted(store: Store):
    artifact = store.put(b"one")
    store.blobs.replace(layout.seal_key(artifact.id), b"junk", tags={})
    store.index.delete(artifact.id)

    store.index.save(Result(id=artifact.id, state=State.STARTED, changed_at=time.time()), ttl_s=60)
    store.delete(artifact.id)

    assert list(store.blobs.list("blobs/")) == []


def test_foreign_id_is_hashed_and_comes_back(store: Store):
    for strange in ["a/b/../c", "x" * 300, "name with spaces", "ünïcode", "~tilde"]:
        artifact = store.put(b"content", id=strange)
        store.index.delete(strange)
        assert store.load(strange).artifacts == (artifact,)
        assert layout.is_content_key(artifact.key)


def test_a_store_that_refuses_leaves_a_definite_failure(store: Store):
    def refuse(*_: object, **__: object):
        raise BlobStoreUnavailable("refused")

    attempt = Attempt("job-7")
    made_by(store, attempt, b"content")
    store.blobs.create = refuse

    with pytest.raises(BlobStoreUnavailable, match="refused"):
        store.seal(attempt)


def test_second_put_returns_or_refuses(store: Store):
    first = store.put(b"one", name="n", id="7f3a")

    assert store.put(b"one", name="n", id="7f3a") == first
    with pytest.raises(BadReference, match="7f3a"):
        store.put(b"two", name="n", id="7f3a")
    with store.open(first) as content:
        assert content.read() == b"one"


def test_failure_never_hides_an_earlier_seal(store: Store):
    store.put(b"one", name="n", id="7f3a")
    store.index.delete("7f3a")

    assert store.save(Result(id="7f3a", state=State.FAILURE)) is False
    assert store.load("7f3a").state == State.SUCCESS
    assert store.save(Result(id="other", state=State.FAILURE)) is True


@pytest.mark.parametrize("value", [b"\xff" * 49_152, b"\0" * 49_152, b"v" * 49_152])
def test_seal_never_exceeds_64_kib(store: Store, value: bytes):
    sealed = store.seal(Attempt("7f3a"), value=value)

    assert store.blobs.stat(layout.seal_key("7f3a")).size_bytes <= documents.SEAL_MAX_BYTES
    assert store.value(sealed) == value
