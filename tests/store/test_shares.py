"""Share links: signed, counted and revocable, all of it in the object store."""

import base64
from concurrent.futures import ThreadPoolExecutor

import pytest

from resultstore import BadInput, Misconfigured, Settings, ShareEnded, ShareMissing, Store
from resultstore.blobs.local.signer import LocalSigner
from resultstore.blobs.memory import MemoryBlobs
from resultstore.index.memory.driver import MemoryIndex
from resultstore.model import layout
from resultstore.ops.sweep import sweep

KEY = "k" * 32


class Clocked(MemoryBlobs):
    """A store whose clock the test moves, and which counts requests."""

    def __init__(self):
        super().__init__()
        self.ahead_s = 0.0
        self.requests = 0

    def now(self):
        return super().now() + self.ahead_s

    def get(self, key, **rest):
        self.requests += 1
        return super().get(key, **rest)

    def list(self, prefix):
        self.requests += 1
        return super().list(prefix)


@pytest.fixture
def blobs():
    return Clocked()


def opened(blobs, *, key=KEY, index=None, **settings):
    signer = LocalSigner(b"a secret of the tests, 32 bytes.", "http://127.0.0.1:1")
    chosen = Settings(index_url="memory://", secret_key=key, **settings)
    return Store(index=index or MemoryIndex(), blobs=blobs, signer=signer, settings=chosen)


@pytest.fixture
def store(blobs):
    return opened(blobs)


@pytest.fixture
def artifact(store):
    return store.put(b"an invoice", name="invoice.pdf", owner="ann")


def uses(store, artifact):
    return [one.uses for one in store.shares.of_result(artifact.id)]


def test_a_share_leads_to_the_artifact_and_is_counted(store, artifact):
    share = store.shares.create(artifact)

    urls = [store.shares.use(store.shares.token(share)) for _ in range(3)]

    assert all(artifact.key in one.url for one in urls)
    assert uses(store, artifact) == [3]


def test_revocation_and_count_survive_the_loss_of_the_index(blobs, store, artifact):
    kept, revoked = store.shares.create(artifact), store.shares.create(artifact)
    store.shares.use(store.shares.token(kept))
    store.shares.revoke(artifact.id, revoked.id)

    other = opened(blobs)  # another process, with an empty index

    other.shares.use(store.shares.token(kept))
    with pytest.raises(ShareEnded, match="revoked"):
        other.shares.use(store.shares.token(revoked))
    assert sorted(uses(other, artifact)) == [0, 2]


def test_revoking_twice_is_harmless_and_unknown_is_an_error(store, artifact):
    share = store.shares.create(artifact)
    for _ in range(2):
        store.shares.revoke(artifact.id, share.id)
    with pytest.raises(ShareMissing):
        store.shares.revoke(artifact.id, "0" * 32)


@pytest.mark.parametrize("at", range(0, 60, 7))
def test_a_changed_token_costs_no_request(blobs, store, artifact, at):
    token = store.shares.token(store.shares.create(artifact))
    other = "A" if token[at] != "A" else "B"
    blobs.requests = 0

    with pytest.raises(ShareMissing):
        store.shares.use(token[:at] + other + token[at + 1 :])

    assert blobs.requests == 0


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "é" * 40,
        "rss_" + "A" * 5_000,
        "rss_" + "!" * 80,
        "rss_" + base64.urlsafe_b64encode(bytes(70)).decode().rstrip("="),
        "rss_",
        "rss_é",
    ],
)
def test_what_is_no_token_is_unknown(store, token):
    with pytest.raises(ShareMissing):
        store.shares.use(token)


def test_a_token_of_another_key_is_unknown_and_of_an_older_one_works(blobs, store, artifact):
    token = store.shares.token(store.shares.create(artifact))

    with pytest.raises(ShareMissing):
        opened(blobs, key="x" * 32).shares.use(token)
    assert opened(blobs, key="x" * 32, secret_key_old=KEY).shares.use(token).url


def test_a_mac_of_another_purpose_is_no_token(store, artifact):
    share = store.shares.create(artifact)
    mac = store.signatures.macs.sign("artifact", share.id, share.retention, artifact.id)
    content = bytes.fromhex(share.id) + bytes.fromhex(mac) + bytes([2]) + artifact.id.encode()

    with pytest.raises(ShareMissing):
        store.shares.use("rss_" + base64.urlsafe_b64encode(content).decode().rstrip("="))


def test_a_document_that_another_program_wrote_is_not_believed(blobs, store, artifact):
    ended, lasting = store.shares.create(artifact, max_uses=1), store.shares.create(artifact, max_uses=9)
    key, other = (layout.share_key(artifact.id, share_id=one.id, retention=one.retention) for one in (ended, lasting))
    document = b"".join(blobs.get(key))

    for forged in (document.replace(b'"max_uses":1', b'"max_uses":0'), b"".join(blobs.get(other)), b"", b"x" * 100):
        blobs.replace(key, forged, tags={})
        with pytest.raises(ShareMissing):
            store.shares.use(store.shares.token(ended))
    blobs.replace(key, b"x" * 100_000, tags={})
    with pytest.raises(ShareEnded):
        store.shares.use(store.shares.token(ended))


@pytest.mark.parametrize("processes", [1, 4])
def test_a_limited_share_is_used_no_more_often(blobs, store, artifact, processes):
    token = store.shares.token(store.shares.create(artifact, max_uses=5))
    stores = [opened(blobs) for _ in range(processes)]

    def use(number):
        try:
            stores[number % processes].shares.use(token)
        except ShareEnded:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        done = sum(pool.map(use, range(24)))

    assert done == 5
    assert uses(store, artifact) == [5]


def test_an_expired_share_ends(blobs, store, artifact):
    token = store.shares.token(store.shares.create(artifact, expires_in_s=3_600))
    blobs.ahead_s = 3_599
    store.shares.use(token)
    blobs.ahead_s = 3_601
    with pytest.raises(ShareEnded, match="expired"):
        store.shares.use(token)


def test_a_share_never_outlives_its_artifact(store):
    artifact = store.put(b"x", name="x", retention="7d")
    share = store.shares.create(artifact, expires_in_s=30 * layout.DAY_S)

    assert share.expires_at == artifact.expires_at


def test_a_deleted_result_takes_its_shares_along(blobs, store, artifact):
    share = store.shares.create(artifact)
    token = store.shares.token(share)
    store.shares.use(token)

    store.delete(artifact.id)

    with pytest.raises(ShareEnded):
        store.shares.use(token)
    assert list(blobs.list("shares/")) == []


@pytest.mark.parametrize(
    "wrong", [{"expires_in_s": 1}, {"expires_in_s": 366 * 86_400}, {"max_uses": -1}, {"max_uses": 10_001}]
)
def test_values_out_of_bounds_are_refused(store, artifact, wrong):
    with pytest.raises(BadInput, match="share link"):
        store.shares.create(artifact, **wrong)


def test_a_result_has_a_limited_number_of_shares(store, artifact, monkeypatch):
    monkeypatch.setattr("resultstore.store.shares.MAX_PER_RESULT", 2)
    for _ in range(2):
        store.shares.create(artifact)
    with pytest.raises(BadInput, match="2 share links"):
        store.shares.create(artifact)


def test_without_a_secret_key_nothing_is_shared(blobs):
    store = opened(blobs, key="")
    artifact = store.put(b"x", name="x")
    with pytest.raises(Misconfigured, match="RESULTSTORE_SECRET_KEY"):
        store.shares.create(artifact)


def test_sweep_deletes_old_shares_with_their_uses(blobs, store):
    artifact = store.put(b"x", name="x", retention="keep")
    short, long = (store.shares.create(artifact, expires_in_s=days * layout.DAY_S) for days in (1, 30))
    for share in (short, long):
        store.shares.use(store.shares.token(share))
    blobs.ahead_s = 3 * layout.DAY_S

    done = sweep(blobs, store.signatures.macs)

    assert done.blobs == 2
    assert [one.share.id for one in store.shares.of_result(artifact.id)] == [long.id]


@pytest.mark.parametrize(("allowed", "shown"), [(False, "attachment"), (True, "inline")])
def test_pdf_is_inline_where_the_operator_allows_it(blobs, allowed, shown):
    store = opened(blobs, inline_pdf=allowed)
    pdf, page = (store.put(b"x", name=name) for name in ("a.pdf", "a.html"))

    assert shown in store.url(pdf, inline=True)
    assert "attachment" in store.url(pdf)
    assert "attachment" in store.url(page, inline=True)


def test_share_is_stored_no_longer_than_its_artifact(store, blobs):
    short = store.put(b"x", name="a.txt", retention="1d")

    share = store.shares.create(short, expires_in_s=365 * layout.DAY_S)

    assert share.retention == "1d"
    assert share.expires_at <= short.expires_at
