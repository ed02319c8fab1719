"""Odd names: foreign objects in the bucket or folder do not stop a listing."""

import pytest

from resultstore.blobs.local.driver import LocalBlobs
from resultstore.blobs.s3 import listing
from resultstore.blobs.s3.bucket import S3Bucket
from resultstore.testing.promises import keys, put

ODD = ["blobs/a\nb/x", "blobs/\x01c/x", "blobs/a b", "blobs/.hidden/x", "blobs/d?/x"]
OURS = ["blobs/0", "blobs/b/x", "blobs/z"]


@pytest.fixture
def filled(s3_blobs, s3_target, s3_credentials):
    client = S3Bucket(s3_target, credentials=s3_credentials).client()
    for name in ODD:
        client.put_object(Bucket=s3_target.bucket, Key=s3_target.object_key(name), Body=b"x")
    for name in OURS:
        put(s3_blobs, name, b"ours")
    yield client
    for name in ODD:  # together, they are no XML
        client.delete_object(Bucket=s3_target.bucket, Key=s3_target.object_key(name))


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("page_keys", [1, 2, 1000])
def test_objects_with_odd_names_are_left_out(s3_blobs, page_keys, monkeypatch):
    monkeypatch.setattr(listing, "PAGE_KEYS", page_keys)

    assert keys(s3_blobs) == keys(s3_blobs, "blobs/") == OURS
    assert keys(s3_blobs, "blobs/b/") == ["blobs/b/x"]


@pytest.mark.parametrize("page_keys", [1, 1000])
def test_console_folder_does_not_end_a_listing(filled, s3_blobs, s3_target, page_keys, monkeypatch):
    monkeypatch.setattr(listing, "PAGE_KEYS", page_keys)
    for name in ("blobs/zz/", "blobs/b/", "blobs/1d/"):
        filled.put_object(Bucket=s3_target.bucket, Key=s3_target.object_key(name), Body=b"")

    listed = [one.key for one in s3_blobs.list("blobs/")]

    assert [one for one in listed if one in OURS] == OURS


def test_files_with_odd_names_are_left_out(tmp_path):
    blobs = LocalBlobs(tmp_path)
    for name in OURS:
        put(blobs, name, b"ours")
    for name in ("a b", "a\nb", "\udcff"):
        (tmp_path / "blobs" / name).write_bytes(b"theirs")

    assert keys(blobs, "blobs/") == OURS
