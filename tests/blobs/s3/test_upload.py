"""Uploads: whole or not at all, and nothing is left over."""

import os
import threading
import time
from pathlib import Path

import pytest

from resultstore.blobs.s3.bucket import S3Bucket
from resultstore.model.errors import BlobStoreUnavailable, TooLarge
from tests.blobs.s3.shaky import AFTER, BEFORE, KEY, MIB, put, some
from tests.faults.proxy import Fault


def threads():
    """Of Python and of the runtime below it; its workers are made with the first request."""
    return threading.active_count(), len(list(Path("/proc/self/task").iterdir()))


@pytest.mark.parametrize("error", [ZeroDivisionError("boo"), KeyboardInterrupt(), OSError(5, "the producer's disk")])
@pytest.mark.parametrize("size_bytes", [MIB, 40 * MIB])
def test_failing_producer_leaves_nothing(s3_blobs, unfinished, error, size_bytes):
    put(s3_blobs, [os.urandom(40 * MIB)])
    s3_blobs.delete([KEY])
    before = threads()

    with pytest.raises(type(error)) as raised:
        put(s3_blobs, some(size_bytes, then=error))

    assert raised.value is error
    assert unfinished() == 0
    assert list(s3_blobs.list("")) == []
    deadline = time.monotonic() + 15
    while threads() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threads() <= before


def test_running_upload_is_open_on_the_server(s3_blobs, unfinished):
    seen = []

    def watched():
        yield from some(40 * MIB)
        seen.append(unfinished())

    put(s3_blobs, watched())

    assert seen == [1]
    assert unfinished() == 0


def test_producer_may_read_from_its_store(s3_blobs):
    body = os.urandom(20 * MIB)
    s3_blobs.put("source", [body], media_type="application/octet-stream")

    put(s3_blobs, s3_blobs.get("source"))

    assert b"".join(s3_blobs.get(KEY)) == body


def test_reused_buffer_is_stored_as_yielded(s3_blobs):
    buffer = bytearray(MIB)

    def reused():
        for n in range(20):
            buffer[:] = bytes([n]) * MIB
            yield memoryview(buffer)

    put(s3_blobs, reused())

    assert b"".join(s3_blobs.get(KEY)) == b"".join(bytes([n]) * MIB for n in range(20))


def test_the_media_type_is_kept(s3_blobs, s3_target, s3_credentials):
    client = S3Bucket(s3_target, credentials=s3_credentials).client()
    for size_bytes in (1, 20 * MIB):
        s3_blobs.put(KEY, [bytes(size_bytes)], media_type="image/png")

        head = client.head_object(Bucket=s3_target.bucket, Key=s3_target.object_key(KEY))
        assert (head["ContentType"], head["ContentLength"]) == ("image/png", size_bytes)


def test_too_many_parts_ask_for_a_hint(s3_blobs, unfinished, monkeypatch):
    monkeypatch.setattr("resultstore.blobs.part_plan.MAX_PARTS", 3)

    with pytest.raises(TooLarge, match="size_hint_bytes"):
        put(s3_blobs, some(25 * MIB))
    stored = put(s3_blobs, some(25 * MIB), size_hint_bytes=25 * MIB)

    assert stored.size_bytes == 25 * MIB
    assert unfinished() == 0


@pytest.mark.parametrize("fault", AFTER)
def test_lost_completion_answer_is_resolved_by_size(shaky, proxy, unfinished, fault):
    rule = proxy.fault(fault, "POST", "uploadId=")

    stored = put(shaky, some(20 * MIB))

    assert rule.fired == 1
    assert stored.size_bytes == 20 * MIB
    assert unfinished() == 0


FOR_GOOD = 1_000


@pytest.mark.parametrize("fault", BEFORE)
def test_completion_that_never_arrives_leaves_nothing(shaky, proxy, unfinished, fault):
    rule = proxy.fault(fault, "POST", "uploadId=", times=FOR_GOOD)

    with pytest.raises(BlobStoreUnavailable):
        put(shaky, some(20 * MIB))

    assert rule.fired > 1
    assert unfinished() == 0
    assert list(shaky.list("")) == []


@pytest.mark.parametrize("part", [1, 3, 5])
@pytest.mark.parametrize("fault", BEFORE)
def test_a_part_that_fails_once_is_sent_again(shaky, proxy, unfinished, fault, part):
    rule = proxy.fault(fault, "PUT", f"partNumber={part}&")

    stored = put(shaky, some(36 * MIB))

    assert rule.fired == 1
    assert stored.size_bytes == 36 * MIB
    assert unfinished() == 0


@pytest.mark.parametrize("part", [1, 5])
@pytest.mark.parametrize("fault", BEFORE)
def test_failed_part_fails_the_upload(shaky, proxy, unfinished, fault, part):
    rule = proxy.fault(fault, "PUT", f"partNumber={part}&", times=FOR_GOOD)

    with pytest.raises(BlobStoreUnavailable):
        put(shaky, some(36 * MIB))

    assert rule.fired > 1
    assert unfinished() == 0
    assert list(shaky.list("")) == []


def test_lost_beginning_is_begun_again(shaky, proxy, unfinished):
    """The lost one has no parts and costs nothing; the store's own sweep takes it."""
    rule = proxy.fault(Fault.CUT_AFTER, "POST", "uploads")

    stored = put(shaky, some(20 * MIB))

    assert rule.fired == 1
    assert stored.size_bytes == 20 * MIB
    assert unfinished() == 1


def test_lost_completion_and_abort_leave_nothing(shaky, proxy, unfinished):
    complete = proxy.fault(Fault.CUT_BEFORE, "POST", "uploadId=.*$", times=FOR_GOOD)
    abort = proxy.fault(Fault.CUT_BEFORE, "DELETE", "uploadId=.*$")

    with pytest.raises(BlobStoreUnavailable):
        put(shaky, some(20 * MIB))

    assert complete.fired > 1
    assert abort.fired == 1
    assert unfinished() == 0


def test_lost_abort_is_repeated(shaky, proxy, unfinished):
    rule = proxy.fault(Fault.ANSWER_503_BEFORE, "DELETE", "uploadId=")

    with pytest.raises(ZeroDivisionError):
        put(shaky, some(20 * MIB, then=ZeroDivisionError()))

    assert rule.fired == 1
    assert unfinished() == 0


@pytest.mark.parametrize(
    ("length", "hint", "parts"),
    [(7 * MIB, None, 0), (7 * MIB, 7 * MIB, 0), (7 * MIB, 16 * MIB, 2), (16 * MIB, 16 * MIB, 4), (16 * MIB, None, 2)],
)
def test_hinted_multipart_upload_begins_with_small_parts(s3_blobs, length, hint, parts):
    stored = put(s3_blobs, some(length), size_hint_bytes=hint)

    assert stored.size_bytes == length
    assert int(stored.etag.partition("-")[2] or 0) == parts
