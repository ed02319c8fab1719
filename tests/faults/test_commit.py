"""Unclear answers around the commit: no committed byte is deleted, and the outcome is right.

Every test counts the faults and fails when none fired.
"""

import os
import time

import pytest

from resultstore import BlobStoreUnavailable, CommitUnknown, Settings, State, Store, connect
from resultstore.store.attempt import Attempt, running
from tests.faults.proxy import Fault, Proxy

SEALS = r"/seals/"
BLOBS = r"/blobs/"
LARGE = os.urandom(20 << 20)
AFTER = [Fault.ANSWER_503_AFTER, Fault.CUT_AFTER]
BEFORE = [Fault.ANSWER_503_BEFORE, Fault.CUT_BEFORE]


def part(store: Store, attempt: Attempt, content: bytes):
    with running(attempt):
        return store.put(content, name="part")


@pytest.mark.parametrize("fault", AFTER)
def test_lost_answer_recognises_our_own_seal(store: Store, straight: Store, proxy: Proxy, job: str, fault: Fault):
    rule = proxy.fault(fault, "PUT", SEALS)

    artifact = store.put(b"content", id=job)

    assert rule.fired == 1
    straight.index.delete(job)
    assert straight.open(straight.load(job).artifact(artifact.name)).read() == b"content"


@pytest.mark.parametrize("fault", BEFORE)
def test_a_seal_that_never_arrived_is_sent_again(store: Store, straight: Store, proxy: Proxy, job: str, fault: Fault):
    rule = proxy.fault(fault, "PUT", SEALS, times=3)

    store.put(b"content", id=job)

    assert rule.fired == 3
    assert straight.load(job).state == State.SUCCESS


@pytest.mark.parametrize("fault", [*AFTER, *BEFORE])
def test_foreign_seal_wins_and_our_blobs_go(store: Store, straight: Store, proxy: Proxy, job: str, fault: Fault):
    # given
    first, second = Attempt(job), Attempt(job)
    kept = part(straight, first, b"first")
    part(store, second, b"second")
    straight.seal(first)
    rule = proxy.fault(fault, "PUT", SEALS)

    # when
    outcome = store.seal(second)

    # then
    assert rule.fired == 1
    assert outcome.nonce == first.nonce
    assert outcome.artifacts == (kept,)
    assert [stored.key for stored in straight.blobs.list("blobs/")] == [kept.key]


def test_unclear_outcome_is_unknown_and_deletes_nothing(store: Store, straight: Store, proxy: Proxy, job: str):
    # given: the store commits, and then answers nothing any more
    put = proxy.fault(Fault.CUT_AFTER, "PUT", SEALS, times=1_000)
    get = proxy.fault(Fault.ANSWER_503_BEFORE, "GET", SEALS, times=1_000)
    deletes = len([1 for method, _ in proxy.seen if method in {"DELETE", "POST"}])

    # when
    began = time.monotonic()
    with pytest.raises(CommitUnknown, match=job):
        store.put(b"content", id=job)

    # then
    assert time.monotonic() - began < 30
    assert put.fired >= 1
    assert get.fired >= 1
    assert len([1 for method, _ in proxy.seen if method in {"DELETE", "POST"}]) == deletes
    found = straight.load(job)
    assert found.state == State.SUCCESS
    assert straight.open(found.artifacts[0]).read() == b"content"


@pytest.mark.parametrize("long", [False, True], ids=["short", "with moved sections"])
def test_seal_damaged_while_read_back_is_no_failure(
    store: Store, straight: Store, proxy: Proxy, job: str, *, long: bool
):
    lost = proxy.fault(Fault.CUT_AFTER, "PUT", SEALS)
    damaged = proxy.fault(Fault.DAMAGE, "GET", SEALS, times=2)

    artifact = store.put(b"content", id=job, metadata={"note": "x" * 100_000 if long else ""})

    assert (lost.fired, damaged.fired) == (1, 2)
    assert straight.load(job).artifacts == (artifact,)


def test_seal_that_stays_damaged_leaves_outcome_unknown(store: Store, straight: Store, proxy: Proxy, job: str):
    # given
    lost = proxy.fault(Fault.CUT_AFTER, "PUT", SEALS)
    damaged = proxy.fault(Fault.DAMAGE, "GET", SEALS, times=1_000)

    # when
    with pytest.raises(CommitUnknown, match=job):
        store.put(b"content", id=job)

    # then
    assert lost.fired == 1
    assert damaged.fired > 1
    assert straight.open(straight.load(job).artifacts[0]).read() == b"content"


def test_lost_seal_is_unknown_and_nothing_readable(store: Store, straight: Store, proxy: Proxy, job: str):
    rule = proxy.fault(Fault.ANSWER_503_BEFORE, "PUT", SEALS, times=1_000)

    with pytest.raises(CommitUnknown):
        store.put(b"content", id=job)

    assert rule.fired > 1
    assert straight.load(job) is None


UPLOADS = {
    "small": ("PUT", BLOBS),
    "part": ("PUT", BLOBS + r".*partNumber=2\b"),
    "begin": ("POST", BLOBS + r".*\?uploads"),
    "complete": ("POST", BLOBS + r".*uploadId="),
}


@pytest.mark.parametrize("fault", [*AFTER, *BEFORE])
@pytest.mark.parametrize("lost", UPLOADS)
def test_an_upload_whose_answer_was_lost_is_whole(
    settings: Settings, straight: Store, proxy: Proxy, fault: Fault, lost: str
):
    job = f"job-{lost}-{fault.name}"
    content = b"small" if lost == "small" else LARGE
    rule = proxy.fault(fault, *UPLOADS[lost])

    artifact = connect(settings).put(content, id=job)

    assert rule.fired == 1
    straight.index.delete(job)
    assert straight.load(job).artifacts == (artifact,)
    assert straight.open(artifact).read() == content


def test_cut_read_resumes_where_it_stopped(store: Store, proxy: Proxy, job: str):
    artifact = store.put(LARGE, id=job)
    rule = proxy.fault(Fault.CUT_AFTER, "GET", BLOBS, times=2)

    assert store.open(artifact).read() == LARGE
    assert rule.fired == 2


@pytest.mark.parametrize("path", [SEALS, BLOBS])
def test_a_denial_that_passes_costs_nothing(store: Store, straight: Store, proxy: Proxy, job: str, path: str):
    """MinIO denies one PUT in 1,600 beside a delete that is emptying the same folder."""
    rule = proxy.fault(Fault.DENY_BEFORE, "PUT", path, times=2)

    store.put(b"content", id=job)

    assert rule.fired == 2
    assert straight.load(job).state == State.SUCCESS


@pytest.mark.parametrize("path", [SEALS, BLOBS])
def test_a_denial_that_stays_is_a_definite_failure(store: Store, straight: Store, proxy: Proxy, job: str, path: str):
    rule = proxy.fault(Fault.DENY_BEFORE, "PUT", path, times=1_000)

    with pytest.raises(BlobStoreUnavailable, match="policy"):
        store.put(b"content", id=job)

    assert rule.fired == 3
    assert straight.load(job) is None
    assert list(straight.blobs.list("blobs/")) == []
