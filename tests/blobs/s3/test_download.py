"""Downloads: resumed after a lost connection, never mixed, never short."""

import os
import time

import msgspec
import pytest

from resultstore.blobs.s3.driver import S3Blobs
from resultstore.model.errors import BlobStoreUnavailable, ChecksumMismatch
from tests.blobs.s3.shaky import KEY, MIB, QUICK, cutting_line, put


def test_download_resumes_after_a_lost_connection(s3_blobs, s3_server, s3_target, s3_credentials):
    body = os.urandom(24 * MIB)
    put(s3_blobs, [body])
    with cutting_line(s3_server.endpoint, after_bytes=5 * MIB, times=3) as (url, cuts):
        target = msgspec.structs.replace(s3_target, endpoint_url=url)
        blobs = S3Blobs(target, credentials=s3_credentials, retries=QUICK)

        whole = b"".join(blobs.get(KEY))
        middle = b"".join(blobs.get(KEY, start=MIB, size_bytes=20 * MIB))

    assert whole == body
    assert middle == body[MIB : 21 * MIB]
    assert len(cuts) == 3


def test_download_that_cannot_resume_is_an_error(s3_blobs, s3_server, s3_target, s3_credentials):
    put(s3_blobs, [os.urandom(8 * MIB)])
    with cutting_line(s3_server.endpoint, after_bytes=100_000, times=10**6) as (url, cuts):
        target = msgspec.structs.replace(s3_target, endpoint_url=url)
        blobs = S3Blobs(target, credentials=s3_credentials, retries=QUICK)

        with pytest.raises(BlobStoreUnavailable):
            b"".join(blobs.get(KEY))

    assert len(cuts) == QUICK.tries


def test_a_download_never_mixes_two_versions(s3_blobs, s3_server, s3_target, s3_credentials):
    put(s3_blobs, [bytes(24 * MIB)])
    with cutting_line(s3_server.endpoint, after_bytes=5 * MIB, times=1) as (url, cuts):
        target = msgspec.structs.replace(s3_target, endpoint_url=url)
        chunks = S3Blobs(target, credentials=s3_credentials, retries=QUICK).get(KEY)
        read = [next(chunks)]
        put(s3_blobs, [b"\1" * 24 * MIB])

        with pytest.raises(ChecksumMismatch, match="was replaced"):
            read.extend(chunks)

    assert set(b"".join(read)) == {0}
    assert len(cuts) == 1


def test_stores_time_is_not_measured_each_time(shaky, proxy):
    shaky.now()
    asked = len(proxy.seen)

    times = [shaky.now() for _ in range(100)]

    assert abs(times[-1] - time.time()) < 2
    assert times == sorted(times)
    assert len(proxy.seen) == asked
