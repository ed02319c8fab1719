"""Trust: only what a store with our key made leads to bytes, wherever it comes back from."""

import msgspec
import pytest

from resultstore import (
    Artifact,
    BadReference,
    Misconfigured,
    NotYours,
    Result,
    SealUnreadable,
    Settings,
    State,
    Store,
    connect,
)
from resultstore.model import layout, record, seal as documents
from resultstore.model.mac import Macs
from resultstore.store.attempt import Attempt, running

OLD, NEW = "o" * 32, "n" * 32
CHANGES = {
    "id": "another",
    "name": "other.pdf",
    "file_name": "other.exe",
    "key": layout.blob_key("7f3a", retention="30d", nonce="0" * 32, n=0),
    "etag": "0" * 32,
    "size_bytes": 4,
    "media_type": "text/html",
    "sha256": "0" * 64,
    "stored_bytes": 4,
    "encoding": "zstd",
    "retention": "365d",
    "expires_at": None,
    "metadata": {"pages": 4},
    "owner": "bob",
    "mac": "",
}


def reopened(store: Store, url: str, **settings: object) -> Store:
    """The same blobs by another process, with other settings and an index that knows nothing."""
    if url.startswith("memory"):
        other = connect(Settings(index_url="memory://", blobs_url="", **settings))
        return Store(index=other.index, blobs=store.blobs, signer=store.signer, settings=other.settings)
    return connect(Settings(index_url="memory://", blobs_url=url, **settings))


@pytest.fixture
def folder(tmp_path) -> str:
    return tmp_path.as_uri()


@pytest.fixture
def kept(folder: str) -> Store:
    return connect(Settings(index_url="memory://", blobs_url=folder, secret_key=NEW))


def made(store: Store, *, owner: str = "alice", result_id: str = "7f3a") -> tuple[Result, Artifact]:
    attempt = Attempt(result_id, owner=owner)
    with running(attempt):
        artifact = store.put(b"one", name="report.pdf", metadata={"pages": 3, "share": 0.1, "draft": False, "of": None})
    return store.seal(attempt, value=b"1"), artifact


def test_the_changes_name_every_field():
    assert set(CHANGES) == set(Artifact.__struct_fields__)


@pytest.mark.parametrize("field", CHANGES)
def test_changed_artifact_yields_no_bytes(kept, field):
    _, artifact = made(kept)
    forged = msgspec.structs.replace(artifact, **{field: CHANGES[field]})
    for use in (kept.open, kept.url):
        with pytest.raises(BadReference, match="not made by this store"):
            use(forged)
    assert kept.open(artifact).read() == b"one"


@pytest.mark.parametrize("travel", ["json", "msgpack", "record"])
def test_a_mac_survives_the_journey(kept, travel):
    result, artifact = made(kept)
    if travel == "json":
        arrived = msgspec.json.decode(msgspec.json.encode(artifact), type=Artifact)
    elif travel == "msgpack":
        arrived = msgspec.msgpack.decode(msgspec.msgpack.encode(artifact), type=Artifact)
    else:
        arrived = record.decode("7f3a", *record.encode(result)).artifacts[0]
    assert kept.open(arrived).read() == b"one"


@pytest.mark.parametrize("field", CHANGES)
def test_seal_wins_over_a_poisoned_record(kept, field):
    result, artifact = made(kept)
    poisoned = msgspec.structs.replace(artifact, **{field: CHANGES[field]})
    kept.index.delete("7f3a")
    kept.index.save(result.moved(State.SUCCESS, artifacts=(poisoned,)), ttl_s=60)

    assert kept.load("7f3a").artifacts == (artifact,)
    assert kept.load_many(["7f3a"])[0].artifacts == (artifact,)


@pytest.mark.parametrize("stolen", ["foreign", "renamed", "unsigned", "another owner's"])
def test_poisoned_record_without_seal_is_bad_reference(kept, stolen):
    _, foreign = made(kept, owner="bob", result_id="bobs")
    poison = {
        "foreign": foreign,  # genuine, but of another Result
        "renamed": msgspec.structs.replace(foreign, id="made-up", owner="alice"),
        "unsigned": msgspec.structs.replace(foreign, id="made-up", owner="alice", mac=""),
        "another owner's": kept.signatures.sign(msgspec.structs.replace(foreign, id="made-up")),
    }[stolen]
    kept.index.save(Result(id="made-up", state=State.SUCCESS, owner="alice", artifacts=(poison,)), ttl_s=60)

    with pytest.raises(BadReference, match="made-up"):
        kept.load("made-up")
    assert kept.load_many(["made-up"]) == [None]


def test_task_opens_only_its_owners_artifacts(kept):
    _, artifact = made(kept)
    shared = kept.put(b"a logo")
    with running(Attempt("next", owner="bob")):
        for use in (kept.open, kept.url):
            with pytest.raises(NotYours, match="another owner than next"):
                use(artifact)
        assert kept.open(shared).read() == b"a logo"
    with running(Attempt("nobodys")), pytest.raises(NotYours):
        kept.open(artifact)
    with running(Attempt("hers", owner="alice")):
        assert kept.open(artifact).read() == b"one"
        sent_on = kept.put(b"sent on", id="of-its-own")
    assert sent_on.owner == kept.load("of-its-own").owner == "alice"


@pytest.mark.parametrize("other", [{"secret_key": "x" * 32}, {"secret_key": ""}])
def test_a_seal_of_another_key_is_refused(kept, folder, other):
    made(kept)
    stranger = reopened(kept, folder, **other)
    with pytest.raises(SealUnreadable, match="RESULTSTORE_SECRET_KEY"):
        stranger.load("7f3a")


def test_forged_seal_is_refused_and_deletable(kept):
    _, artifact = made(kept, owner="bob")
    forged = documents.Seal(
        format=1, id="mine", state=State.SUCCESS, nonce=layout.new_nonce(), sealed_at=1.0, artifacts=(artifact,)
    )
    for document in (documents.encode(forged, Macs(b"")), documents.encode(forged, Macs(b"another key"))):
        kept.blobs.replace(layout.seal_key("mine"), document, tags={})
        with pytest.raises(SealUnreadable, match="mine"):
            kept.load("mine")
    kept.delete("mine")
    assert kept.load("mine") is None


def test_a_forged_tombstone_hides_nothing(kept):
    made(kept)
    stone = documents.encode(documents.tombstone("7f3a", nonce=layout.new_nonce(), now=1.0), Macs(b""))
    kept.blobs.replace(layout.seal_key("7f3a"), stone, tags={})
    kept.index.delete("7f3a")
    with pytest.raises(SealUnreadable):
        kept.load("7f3a")


def test_signatures_of_named_old_keys_are_accepted(folder):
    before = connect(Settings(index_url="memory://", blobs_url=folder, secret_key=OLD))
    _, artifact = made(before)

    rotated = reopened(before, folder, secret_key=NEW, secret_key_old=f"{'q' * 32} {OLD}")
    assert rotated.open(artifact).read() == b"one"
    assert rotated.load("7f3a").artifacts == (artifact,)
    assert made(rotated, result_id="new")[1].mac != before.signatures.sign(artifact).mac

    done = reopened(before, folder, secret_key=NEW)
    with pytest.raises(BadReference):
        done.open(artifact)
    with pytest.raises(SealUnreadable, match="RESULTSTORE_SECRET_KEY_OLD"):
        done.load("7f3a")
    assert done.load("new").artifacts


def test_unsigned_store_is_migrated_to_a_key(folder):
    before = connect(Settings(index_url="memory://", blobs_url=folder, secret_key=""))
    _, artifact = made(before)
    assert artifact.mac == ""

    changing = reopened(before, folder, secret_key=NEW, accept_unsigned=True)
    assert changing.load("7f3a").artifacts == (artifact,)
    assert changing.open(artifact).read() == b"one"
    with pytest.raises(BadReference):  # a wrong signature is not a missing one
        changing.open(msgspec.structs.replace(artifact, mac="0" * 32))

    changed = reopened(before, folder, secret_key=NEW)
    with pytest.raises(SealUnreadable, match="RESULTSTORE_ACCEPT_UNSIGNED"):
        changed.load("7f3a")
    with pytest.raises(BadReference):
        changed.open(artifact)


def test_weak_secret_key_is_refused_unshown():
    with pytest.raises(Misconfigured, match="RESULTSTORE_SECRET_KEY is shorter than 16 bytes") as refused:
        connect(Settings(index_url="memory://", secret_key="hunter2"))
    assert "hunter2" not in str(refused.value)
