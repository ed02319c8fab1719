"""Adoption: an upload becomes a part of the task that works on it, without being copied."""

import hashlib

import msgspec
import pytest

from resultstore import Artifact, BadReference, ChecksumMismatch, NotYours, State, Store
from resultstore.capture.run import run_captured
from resultstore.model import layout
from resultstore.store.attempt import Attempt

MIB = 1 << 20


class Text:
    """A codec of text."""

    def encoded(self, value: object) -> bytes:
        return str(value).encode()

    def decoded(self, payload: bytes | None) -> object:
        return None if payload is None else payload.decode()


def uploaded(store: Store, content: bytes, *, digest: bool = True, owner: str = "alice") -> Artifact:
    """What verification makes of an upload."""
    key = layout.upload_key("up", retention="1d", nonce=layout.new_nonce())
    stored = store.blobs.put(key, [content], media_type="image/png")
    artifact = Artifact(
        id="up",
        name="input",
        file_name="cat.png",
        key=key,
        etag=stored.etag,
        size_bytes=len(content),
        media_type="image/png",
        sha256=hashlib.sha256(content).hexdigest() if digest else "",
        stored_bytes=len(content),
        retention="1d",
        expires_at=layout.expiry("1d", start=store.blobs.now()),
        metadata={"role": "input"},
        owner=owner,
    )
    return store.signatures.sign(artifact)


@pytest.mark.parametrize("digest", [True, False])
@pytest.mark.parametrize("content", [b"one", b"ab" * MIB + b"c"])
def test_upload_is_sealed_in_place(store, digest, content):
    source = uploaded(store, content, digest=digest)

    def body() -> str:
        store.put(b"thumb", name="thumb")
        return f"{len(store.open(source).read())} bytes"

    captured = run_captured(store, Attempt("up", owner="alice"), body, codec=Text(), given=[7, source])

    assert captured.value == f"{len(content)} bytes"
    store.index.delete("up")
    found = store.load("up")
    assert [one.name for one in found.artifacts] == ["input", "thumb"]
    adopted = found.artifacts[0]
    assert (adopted.key, adopted.etag, adopted.sha256) == (source.key, source.etag, hashlib.sha256(content).hexdigest())
    assert found.owner == "alice"
    assert store.open(adopted).read() == content


def test_small_task_is_sealed_with_its_input(store):
    source = uploaded(store, b"one")
    captured = run_captured(store, Attempt("up", owner="alice"), lambda: 1, codec=Text(), given=[source])
    assert [one.name for one in captured.sealed.artifacts] == ["input"]


def test_big_upload_is_measured_once_and_sealed(store):
    content = b"ab" * MIB + b"c"
    source = uploaded(store, content)
    reads, get = [], store.blobs.get
    store.blobs.get = lambda key, **span: (reads.append(span) if key == source.key else None) or get(key, **span)

    def body() -> None:
        for _ in range(3):
            with store.open(source) as stream:
                assert stream.read() == content

    run_captured(store, Attempt("up", owner="alice"), body, codec=Text(), given=[source])
    assert len(reads) == 4
    with store.open(source) as stream:
        stream.seek(MIB)
        assert stream.read(1) == b"a"
    assert len(reads) == 5


def test_failed_task_leaves_upload_for_next_attempt(store):
    source = uploaded(store, b"one")

    def fails() -> None:
        store.put(b"half", name="half")
        raise ValueError

    attempt = Attempt("up", owner="alice")
    with pytest.raises(ValueError):
        run_captured(store, attempt, fails, codec=Text(), given=[source])
    assert [one.key for one in store.blobs.list("")] == [source.key]
    again = run_captured(store, Attempt("up", owner="alice"), lambda: 1, codec=Text(), given=[source])
    assert again.sealed.state == State.SUCCESS


def test_bytes_replaced_after_verification_are_refused(store):
    source = uploaded(store, b"one")
    store.blobs.replace(source.key, b"two", tags={})
    with pytest.raises(ChecksumMismatch, match="replaced after it was verified"):
        run_captured(store, Attempt("up", owner="alice"), lambda: 1, codec=Text(), given=[source])


@pytest.mark.parametrize("change", ["another owner", "nobody's", "another id's blob", "a blob", "unsigned"])
def test_foreign_upload_cannot_be_adopted(store, change):
    source = uploaded(store, b"one")
    attempt = Attempt("up", owner="" if change == "nobody's" else "bob" if change == "another owner" else "alice")
    nonce = layout.new_nonce()
    keys = {
        "another id's blob": layout.upload_key("other", retention="1d", nonce=nonce),
        "a blob": layout.blob_key("up", retention="1d", nonce=nonce, n=0),
    }
    forged = store.signatures.sign(msgspec.structs.replace(source, key=keys.get(change, source.key)))
    if change == "unsigned":
        forged = msgspec.structs.replace(source, mac="")
    with pytest.raises((BadReference, NotYours)):
        run_captured(store, attempt, lambda: 1, codec=Text(), given=[forged])
    assert store.load("up") is None


def test_other_results_artifact_is_a_plain_argument(store):
    source = uploaded(store, b"one")
    captured = run_captured(store, Attempt("job", owner="alice"), lambda: 1, codec=Text(), given=[source])
    assert captured.sealed is None
