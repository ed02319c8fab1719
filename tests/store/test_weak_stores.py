"""Stores that keep less than S3 promises: set-up finds out and says so, and nothing is sealed where two could."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import boto3
import pytest

from resultstore import BlobUnreadable, LayoutUnreadable, Misconfigured, Settings, State, Store, connect
from resultstore.blobs.s3.driver import S3Blobs
from resultstore.model import layout, layout_marker as documents
from resultstore.model.mac import Macs
from resultstore.ops.lifecycle import rules
from resultstore.ops.provision import provision
from resultstore.store.attempt import Attempt, running
from tests.weakstore import Lack, Weak, weak_store

ROOT = "some/root"
Setting = Callable[..., tuple[Settings, Weak]]


@pytest.fixture
def weak(s3_server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Setting]:
    """Settings of a store of its own that lacks what is named, and the proxy that takes it away."""
    pair = (s3_server.access_key, s3_server.secret_key)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", pair[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", pair[1])
    with ExitStack() as stack:

        def made(*lacks: Lack) -> tuple[Settings, Weak]:
            one = stack.enter_context(weak_store(s3_server.endpoint, pair, *lacks))
            settings = Settings(
                index_url="memory://",
                blobs_url=f"s3://{bucket}/{ROOT}",
                s3_endpoint=one.url,
                secret_key="k" * 32,
                commit_budget_s=3,
                accept_forgeable_store=True,
            )
            return settings, one

        yield made


@pytest.fixture
def client(s3_server):
    """The real store, with all that it keeps."""
    return boto3.client(
        "s3",
        endpoint_url=s3_server.endpoint,
        aws_access_key_id=s3_server.access_key,
        aws_secret_access_key=s3_server.secret_key,
        region_name="us-east-1",
    )


def keys(client, bucket: str) -> list[str]:
    return [one["Key"] for one in client.list_objects_v2(Bucket=bucket).get("Contents", ())]


def standing(client, bucket: str) -> set[str]:
    return {one["ID"] for one in client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]}


def noted(client, bucket: str, settings: Settings) -> documents.StoreCapabilities | None:
    document = client.get_object(Bucket=bucket, Key=f"{ROOT}/{layout.LAYOUT_KEY}")["Body"].read()
    return documents.decode(document, connect(settings).signatures.macs).traits


@pytest.mark.parametrize("lack", [Lack.CONDITION, Lack.CONDITION_REFUSED], ids=lambda one: one.name)
def test_setup_refuses_store_without_conditional_create(weak: Setting, client, bucket: str, lack: Lack):
    settings, proxy = weak(lack)

    with pytest.raises(Misconfigured, match="If-None-Match"):
        provision(settings)

    assert proxy.fired[lack] > 0
    assert keys(client, bucket) == []
    with pytest.raises(client.exceptions.ClientError, match="NoSuchLifecycleConfiguration"):
        standing(client, bucket)


@pytest.mark.parametrize("lack", [Lack.CONDITION, Lack.CONDITION_REFUSED], ids=lambda one: one.name)
def test_nothing_is_sealed_without_conditional_create(weak: Setting, client, bucket: str, lack: Lack):
    settings, proxy = weak(lack)
    store = connect(settings)

    for _ in range(2):
        with pytest.raises(Misconfigured, match="nothing is sealed"):
            store.put(b"content", id="job")
    with pytest.raises(Misconfigured, match="nothing is sealed"):
        store.seal(Attempt("job"), value=b"v" * 100_000)

    assert proxy.fired[lack] > 0
    assert keys(client, bucket) == []


def test_attempt_on_such_a_store_leaves_nothing(weak: Setting, client, bucket: str):
    settings, _ = weak(Lack.CONDITION)
    store, attempt = connect(settings), Attempt("job")
    with running(attempt):
        store.put(b"content", name="part")

    with pytest.raises(Misconfigured):
        store.seal(attempt)

    assert keys(client, bucket) == []


def test_no_seal_rule_where_tags_are_dropped(weak: Setting, client, bucket: str):
    settings, proxy = weak(Lack.RULE_TAGS)

    done = provision(settings)

    assert proxy.fired[Lack.RULE_TAGS] > 0
    assert "resultstore sweep" in done["lifecycle"]
    assert standing(client, bucket) == {rule.id for rule in rules(ROOT, seals=False)}
    assert noted(client, bucket, settings) == documents.StoreCapabilities(seal_rules=False)
    assert provision(settings)["layout"].endswith("up to date")


def test_seal_rules_of_an_earlier_setup_are_removed(weak: Setting, client, bucket: str):
    """An earlier version wrote them and ended with 0: every seal was gone after 4 days."""
    honest, _ = weak()
    provision(honest)
    assert standing(client, bucket) == {rule.id for rule in rules(ROOT)}
    settings, _ = weak(Lack.RULE_TAGS)

    provision(settings)

    assert standing(client, bucket) == {rule.id for rule in rules(ROOT, seals=False)}


@pytest.mark.parametrize(
    ("lack", "answer"), [(Lack.LIFECYCLE, "501"), (Lack.LIFECYCLE_WRITING, "501"), (Lack.RULE_CONFLICT, "409")]
)
def test_setup_completes_where_lifecycle_is_refused(weak: Setting, client, bucket: str, lack: Lack, answer: str):
    settings, proxy = weak(lack)

    done = provision(settings)

    assert proxy.fired[lack] > 0
    assert answer in done["lifecycle"]
    assert "resultstore sweep" in done["lifecycle"]
    assert done["layout"] == "format 1, marker written"
    assert noted(client, bucket, settings) == documents.StoreCapabilities(blob_rules=False, seal_rules=False)


@pytest.mark.parametrize("set_up", [True, False], ids=["set up", "not set up"])
def test_seals_go_without_tags_where_refused(weak: Setting, client, bucket: str, *, set_up: bool):
    # given
    settings, proxy = weak(Lack.TAGS)
    done = provision(settings) if set_up else {}
    asked = proxy.fired[Lack.TAGS]
    store = connect(settings)

    # when
    artifacts = [store.put(b"content", id=f"job-{number}") for number in range(3)]
    store.delete("job-0")

    # then
    assert "resultstore sweep" in done.get("lifecycle", "resultstore sweep")
    assert proxy.fired[Lack.TAGS] - asked == (0 if set_up else 1), "the store is asked once a process"
    assert connect(settings).load("job-1").artifacts == (artifacts[1],)
    assert connect(settings).load("job-0") is None


def test_store_is_asked_once_a_process(weak: Setting):
    settings, proxy = weak()
    provision(settings)
    store = connect(settings)
    proxy.seen.clear()

    for number in range(3):
        store.put(b"content", id=f"job-{number}")
        store.index.delete(f"job-{number}")
        assert store.load(f"job-{number}").state == State.SUCCESS

    asked = [path for method, path in proxy.seen if path.endswith(layout.LAYOUT_KEY)]
    assert len(asked) == 1
    assert not [path for method, path in proxy.seen if "/probe/" in path]


@pytest.mark.parametrize(
    "document",
    [b'{"format":99}', b"junk", documents.encode(documents.LayoutMarker(format=99), Macs(b"o" * 32)), b"x" * 100_000],
)
def test_replaced_layout_stops_nobody(
    weak: Setting, client, bucket: str, document: bytes, caplog: pytest.LogCaptureFixture
):
    # given
    settings, _ = weak()
    provision(settings)
    connect(settings).put(b"content", id="before")
    client.put_object(Bucket=bucket, Key=f"{ROOT}/{layout.LAYOUT_KEY}", Body=document)

    # when
    store = connect(settings)
    store.put(b"content", id="after")

    # then
    assert [store.load(one).state for one in ("before", "after")] == [State.SUCCESS] * 2
    told = [one.getMessage() for one in caplog.records if "layout_not_ours" in one.getMessage()]
    assert len(told) == 1, "it is named once a process"
    assert "layout.json" in told[0]
    with pytest.raises(LayoutUnreadable, match="setup --mend"):
        provision(settings)
    assert "marker replaced" in provision(settings, mend=True)["layout"]
    assert noted(client, bucket, settings) == documents.StoreCapabilities()


def test_layout_that_nobody_can_read_is_mended(weak: Setting, monkeypatch: pytest.MonkeyPatch):
    """Encrypted with a key that its writer kept, as a client that can write one object may do."""
    settings, _ = weak()
    provision(settings)
    get = S3Blobs.get

    def unreadable(blobs: S3Blobs, key: str, **options: int) -> Iterator[bytes]:
        if key == layout.LAYOUT_KEY:
            raise BlobUnreadable(f"the blob {key} is not given to us")
        return get(blobs, key, **options)

    monkeypatch.setattr(S3Blobs, "get", unreadable)

    assert connect(settings).put(b"content", id="job").size_bytes == 7
    with pytest.raises(LayoutUnreadable, match=r"layout\.json .*setup --mend"):
        provision(settings)
    assert "marker replaced" in provision(settings, mend=True)["layout"]


def test_newer_layout_of_ours_is_refused(weak: Setting, client, bucket: str):
    settings, _ = weak()
    newer = documents.encode(documents.LayoutMarker(format=2), connect(settings).signatures.macs)
    client.put_object(Bucket=bucket, Key=f"{ROOT}/{layout.LAYOUT_KEY}", Body=newer)
    store = connect(settings)

    for ask in (lambda: store.load("job"), lambda: store.put(b"content"), lambda: provision(settings)):
        with pytest.raises(Misconfigured, match="format 2"):
            ask()


def test_store_that_was_not_set_up_is_tried(weak: Setting, client, bucket: str):
    settings, proxy = weak()
    store: Store = connect(settings)

    store.put(b"content", id="job")
    store.put(b"content", id="other")

    assert len([path for method, path in proxy.seen if method == "PUT" and "/probe/" in path]) == 2
    assert not [key for key in keys(client, bucket) if "/probe/" in key]
