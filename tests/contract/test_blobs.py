"""The contracts of BlobStore and MultipartStore, checked on every driver by the suite that is shipped."""

import httpx
import pytest

from resultstore.blobs.blobstore import PartReceiver
from resultstore.blobs.local.driver import LocalBlobs
from resultstore.blobs.s3.signer import S3Signer
from resultstore.testing import MULTIPART_PROMISES, READING_PROMISES, WRITING_PROMISES
from resultstore.testing.multipart import MultipartDriver


@pytest.mark.parametrize("promise", [*READING_PROMISES, *WRITING_PROMISES], ids=repr)
def test_driver_keeps_the_promise(blobs, promise):
    promise.check(blobs)


@pytest.fixture(params=["local", "s3"])
def multipart(request, tmp_path):
    """A driver with multipart uploads, and how a client sends it a part."""
    blobs = LocalBlobs(tmp_path / "blobs") if request.param == "local" else request.getfixturevalue("s3_blobs")

    def send_to_s3(key, upload_id, number, body):
        signer = S3Signer(blobs._bucket.target, credentials=blobs._bucket._credentials)
        signed = signer.sign_part(key, expires_in_s=60, upload_id=upload_id, number=number, size_bytes=len(body))
        answer = httpx.put(signed.url, content=body, headers=signed.headers)
        answer.raise_for_status()
        return answer.headers["etag"].strip('"')

    def send_to_folder(key, upload_id, number, body):
        return blobs.put_part(key, upload_id=upload_id, number=number, chunks=[body]).etag

    return MultipartDriver(blobs, send_to_folder if isinstance(blobs, PartReceiver) else send_to_s3)


@pytest.mark.parametrize("promise", MULTIPART_PROMISES, ids=repr)
def test_multipart_driver_keeps_the_promise(multipart, promise):
    promise.check(multipart)
