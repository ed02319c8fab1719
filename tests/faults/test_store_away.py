"""A store that is wrong, down, or goes away: a clear error with the remedy, and nothing half-written is readable."""

import dataclasses
import socket
import time

import pytest

from resultstore import BlobStoreUnavailable, IndexUnavailable, Settings, Store, connect
from tests.faults.proxy import Fault, Proxy


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def changed(settings: Settings, **values: object) -> Store:
    return connect(dataclasses.replace(settings, **values))


def test_unreachable_store_is_named_with_its_setting(settings: Settings, job: str):
    endpoint = f"http://127.0.0.1:{free_port()}"

    began = time.monotonic()
    with pytest.raises(BlobStoreUnavailable) as told:
        changed(settings, s3_endpoint=endpoint).put(b"x", id=job)

    assert endpoint in str(told.value)
    assert "RESULTSTORE_S3_ENDPOINT" in str(told.value)
    assert time.monotonic() - began < 20


def test_missing_bucket_is_named_with_the_remedy(settings: Settings, job: str):
    with pytest.raises(BlobStoreUnavailable, match="no-such-bucket") as told:
        changed(settings, blobs_url="s3://no-such-bucket/root").put(b"x", id=job)

    assert "resultstore setup" in str(told.value)


def test_a_wrong_key_is_told_without_the_secret(settings: Settings, job: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret-1234567890")

    with pytest.raises(BlobStoreUnavailable, match="AWS_") as told:
        connect(settings).put(b"x", id=job)

    assert "wrong-secret" not in str(told.value)


def test_store_lost_during_upload_leaves_nothing_readable(store: Store, straight: Store, proxy: Proxy, job: str):
    # given: the connection is cut from the second part on
    rules = [
        proxy.fault(Fault.CUT_BEFORE, method, r"partNumber=[2-9]|uploadId=", times=10_000) for method in ("PUT", "POST")
    ]

    def endless():
        for _ in range(64):
            yield b"x" * (1 << 20)

    # when
    began = time.monotonic()
    with pytest.raises(BlobStoreUnavailable):
        store.put(endless(), id=job)

    # then
    assert rules[0].fired >= 1
    assert time.monotonic() - began < 60
    assert straight.load(job) is None
    assert list(straight.blobs.list("blobs/")) == []


def test_a_store_that_never_answers_is_given_up(store: Store, proxy: Proxy, job: str):
    rule = proxy.fault(Fault.HANG_AFTER, "PUT", r"/blobs/", times=10_000)

    began = time.monotonic()
    with pytest.raises(BlobStoreUnavailable):
        store.put(b"x", id=job)

    assert rule.fired >= 1
    assert time.monotonic() - began < 100


def test_sealed_results_are_found_without_the_index(settings: Settings, straight: Store, job: str):
    artifact = straight.put(b"content", id=job)
    port = free_port()
    blind = changed(settings, index_url=f"redis://127.0.0.1:{port}/0")

    assert blind.load(job).artifacts == (artifact,)
    with pytest.raises(IndexUnavailable, match=str(port)):
        blind.load("unknown")


def test_a_put_succeeds_while_the_index_is_away(settings: Settings, straight: Store, job: str):
    """The seal is the commit: a failure to write the record must not be reported as a failure of the put."""
    blind = changed(settings, index_url=f"redis://127.0.0.1:{free_port()}/0")

    blind.put(b"content", id=job)

    assert straight.open(straight.load(job).artifacts[0]).read() == b"content"
