"""Linking: the same URL for some minutes, never longer than its Artifact, and never one that runs in a browser."""

import time
from email.utils import formatdate
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from resultstore import ArtifactExpired, BadReference, Settings, Store, connect
from resultstore.blobs.blobstore import SignedUrl
from resultstore.blobs.local.signer import LocalSigner
from resultstore.blobs.s3.clock import require_small_skew
from resultstore.blobs.s3.credentials import Credentials
from resultstore.blobs.s3.signer import S3Signer
from resultstore.blobs.s3.target import S3Target
from resultstore.model.errors import BlobStoreUnavailable

WINDOW_S = 300
START = 1_800_000_000 - 1_800_000_000 % WINDOW_S


class Clock:
    """A clock to be set."""

    def __init__(self) -> None:
        self.now_s = START + 7.5

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["local", "s3"])
def store(request, tmp_path, clock: Clock) -> Store:
    """Blobs in a folder, and URLs by each signer."""
    made = connect(Settings(index_url="memory://", blobs_url=tmp_path.as_uri(), secret_key="k" * 32))
    made.blobs.now = clock
    if request.param == "local":
        signer = LocalSigner(b"k" * 32, "http://127.0.0.1:1", clock, window_s=WINDOW_S)
    else:
        target, pair = S3Target(bucket="results", endpoint_url="http://127.0.0.1:1"), Credentials("id", "secret")
        signer = S3Signer(target, credentials=lambda: pair, now=clock, window_s=WINDOW_S)
    return Store(index=made.index, blobs=made.blobs, signer=signer, settings=made.settings)


def kept(store: Store, **fields: object):
    artifact = store.put(b"one", name=fields.pop("name", "a.png"), media_type=fields.pop("media_type", "image/png"))
    return store.signatures.sign(msgspec.structs.replace(artifact, **{"expires_at": START + 86_400, **fields}))


def test_url_is_stable_within_its_window(store, clock):
    artifact = kept(store)
    first = store.link(artifact, inline=True)
    clock.now_s = START + WINDOW_S - 0.5
    assert store.link(artifact, inline=True) == first
    assert first.expires_at == START + 900
    clock.now_s = START + WINDOW_S
    assert store.link(artifact, inline=True).expires_at == START + WINDOW_S + 900


@pytest.mark.parametrize("asked_s", [0, -1, 0.9, 604_801])
def test_no_life_stands_for_the_default(store, asked_s):
    """Who computes a rest of life that has run out must not hand out access."""
    with pytest.raises(BadReference, match="lives 1 to 604800 seconds"):
        store.link(kept(store), expires_in_s=asked_s)


def test_part_of_a_second_is_cut_off(store):
    assert store.link(kept(store), expires_in_s=61.7).expires_at == START + 7 + 61


@pytest.mark.parametrize("left_s", [30, 299, 500, 880])
def test_link_is_stable_until_its_artifact_expires(store, clock, left_s):
    artifact = kept(store, expires_at=START + 7 + left_s + 1)
    first = store.link(artifact)
    assert first.expires_at == artifact.expires_at
    clock.now_s += 0.4
    assert store.link(artifact) == first


@pytest.mark.parametrize("left_s", [-1, 0, 29])
def test_under_thirty_seconds_left_is_expired(store, clock, left_s):
    artifact = kept(store, expires_at=int(clock.now_s) + left_s)
    with pytest.raises(ArtifactExpired):
        store.link(artifact)


@pytest.mark.parametrize(
    ("media_type", "inline", "length_s"),
    [
        ("video/mp4", True, 7_200),
        ("audio/flac", True, 7_200),
        ("video/mp4", False, 900),
        ("image/png", True, 900),
        ("video/x-flv", True, 900),
    ],
)
def test_what_is_played_works_for_two_hours(store, media_type, inline, length_s):
    assert store.link(kept(store, media_type=media_type), inline=inline).expires_at == START + length_s


def test_a_short_life_is_counted_from_now(store, clock):
    assert store.link(kept(store), expires_in_s=60).expires_at == int(clock.now_s) + 60


@pytest.mark.parametrize("media_type", ["text/html", "image/svg+xml", "application/pdf"])
def test_what_runs_is_a_download_whoever_asks(store, media_type):
    url = store.url(kept(store, media_type=media_type), inline=True)
    query = parse_qs(urlsplit(url).query)
    [said] = query.get("disposition") or query["response-content-disposition"]
    assert said.startswith("attachment; ")


@pytest.mark.parametrize(("skew_s", "signs"), [(0, True), (299, True), (-299, True), (301, False), (-301, False)])
def test_skewed_clocks_sign_nothing(skew_s, signs):
    there = require_small_skew(lambda: time.time() + skew_s)
    if signs:
        assert abs(there() - time.time() - skew_s) < 1
    else:
        with pytest.raises(BlobStoreUnavailable, match="set both clocks"):
            there()


@pytest.fixture
def s3_store(s3_server, bucket, monkeypatch) -> Store:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    return connect(
        Settings(
            index_url="memory://",
            blobs_url=f"s3://{bucket}",
            s3_endpoint=s3_server.endpoint,
            secret_key="k" * 32,
            s3_sign_access_key="reader",
            s3_sign_secret_key="its secret",
        )
    )


def test_urls_are_dated_by_the_bucket_clock(s3_store):
    artifact = s3_store.put(b"one", name="a.png")
    asked = parse_qs(urlsplit(s3_store.url(artifact)).query)
    there = s3_store.blobs.now()
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(there - there % WINDOW_S))
    assert asked["X-Amz-Date"] == [stamp], formatdate(there)
    assert asked["X-Amz-Expires"] == ["900"]
    assert asked["X-Amz-Credential"][0].startswith("reader/")
    put = s3_store.signer.sign_put(artifact.key, expires_in_s=60, size_bytes=1, media_type="text/plain")
    assert "X-Amz-Credential=reader" not in put.url


def test_wrong_store_clock_signs_nothing(s3_store):
    artifact = s3_store.put(b"one", name="a.png")
    clock = s3_store.blobs._now.__self__  # the StoreClock, which no test can make a real store skew
    pid, when, there = clock._measured
    clock._measured = (pid, when, there + 400)
    with pytest.raises(BlobStoreUnavailable, match=r"\+400 s from this machine"):
        s3_store.url(artifact)


def test_head_url_is_another_than_the_download(store):
    artifact = kept(store)
    link = store.link(artifact, method="HEAD")
    assert link.method == "HEAD"
    assert link.url == store.url(artifact, method="HEAD") != store.url(artifact)
    with pytest.raises(BadReference, match="GET or HEAD"):
        store.url(artifact, method="PUT")


def test_driver_without_head_signs_downloads(store):
    """A driver that was written before the argument `method` goes on working."""

    class Older:
        origin = "https://old.test"

        def sign_get(self, key, *, expires_in_s, file_name, media_type, inline=False, not_after=None):  # noqa: ARG002
            return SignedUrl(method="GET", url=f"{self.origin}/{key}", headers={}, expires_at=START)

    older = Store(index=store.index, blobs=store.blobs, signer=Older(), settings=store.settings)
    artifact = kept(store)
    assert older.url(artifact) == f"https://old.test/{artifact.key}"


@pytest.mark.parametrize("parameters", [";, text/html", "; a=b, text/html", '; a="b, text/html"'])
def test_inline_url_serves_the_bare_type(store, parameters):
    artifact = kept(store)
    odd = store.signatures.sign(msgspec.structs.replace(artifact, media_type="image/png" + parameters))

    url = store.url(odd, inline=True)

    assert "image%2Fpng" in url
    assert "html" not in url
