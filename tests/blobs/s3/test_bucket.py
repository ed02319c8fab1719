"""S3Bucket: creation, foreign lifecycle rules, unfinished uploads; under moto and on MinIO."""

from functools import partial

import msgspec
import pytest
from moto import mock_aws

from resultstore.blobs.obstore.retry import Retries
from resultstore.blobs.s3.bucket import S3Bucket
from resultstore.blobs.s3.credentials import Credentials
from resultstore.blobs.s3.target import S3Target
from resultstore.model.errors import BlobStoreUnavailable
from resultstore.ops.lifecycle import merge_rules
from tests.faults.proxy import Fault

THEIRS = [
    {"ID": "logs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 3}},
    {"ID": "rs-blobs-1d@another", "Status": "Enabled", "Filter": {"Prefix": "other/"}, "Expiration": {"Days": 2}},
]


@pytest.fixture(params=["moto", "minio"])
def control(request):
    """The control plane of a fresh bucket, in memory and on the real server."""
    if request.param == "minio":
        yield S3Bucket(request.getfixturevalue("s3_target"), credentials=request.getfixturevalue("s3_credentials"))
        return
    with mock_aws():
        target = S3Target(bucket="results", prefix="some/root", path_style=False)
        bucket = S3Bucket(target, credentials=lambda: Credentials("key", "secret"))
        bucket.ensure()
        yield bucket


def identities(documents):
    return sorted(one["ID"] for one in documents)


def test_a_bucket_is_made_once(control, s3_server):
    new = msgspec.structs.replace(control.target, bucket=control.target.bucket[:40] + "-new")
    bucket = S3Bucket(new, credentials=control._credentials)
    try:
        assert bucket.ensure()
        assert not bucket.ensure()
    finally:
        bucket.client().delete_bucket(Bucket=new.bucket)


@pytest.mark.parametrize("region", ["eu-central-1"])
def test_a_bucket_is_made_in_its_region(region):
    with mock_aws():
        bucket = S3Bucket(S3Target(bucket="results", region=region), credentials=lambda: Credentials("key", "secret"))

        assert bucket.ensure()

        assert bucket.client().get_bucket_location(Bucket="results")["LocationConstraint"] == region


def test_our_rules_come_beside_everybody_elses(control):
    control.update_lifecycle(lambda _: THEIRS)

    assert control.update_lifecycle(partial(merge_rules, root="some/root"))

    now = identities(control.lifecycle())
    assert set(identities(THEIRS)) < set(now)
    assert len(now) == len(set(now)) > len(THEIRS) + 3
    kept = next(one for one in control.lifecycle() if one["ID"] == "logs")
    assert (kept["Status"], kept["Filter"]["Prefix"], kept["Expiration"]["Days"]) == ("Enabled", "logs/", 3)


def test_rules_are_written_only_when_they_differ(control):
    control.update_lifecycle(lambda _: THEIRS)
    longer = [THEIRS[0] | {"Expiration": {"Days": 4}}, THEIRS[1]]

    assert not control.update_lifecycle(lambda standing: list(reversed(standing)))
    assert control.update_lifecycle(lambda _: longer)

    assert {one["ID"]: one["Expiration"]["Days"] for one in control.lifecycle()}["logs"] == 4


def test_setting_up_again_finds_nothing_to_write(control):
    control.update_lifecycle(partial(merge_rules, root="some/root"))

    assert not control.update_lifecycle(partial(merge_rules, root="some/root"))


def test_bucket_may_have_no_rules(control):
    assert list(control.lifecycle()) == []

    control.update_lifecycle(lambda _: THEIRS)
    assert control.update_lifecycle(lambda _: [])

    assert list(control.lifecycle()) == []


def test_uploads_of_exactly_this_key_are_ended(control):
    client, name = control.client(), control.target.bucket
    mine, longer = control.target.object_key("a/b.1"), control.target.object_key("a/b.10")
    for key in (mine, mine, longer):
        client.create_multipart_upload(Bucket=name, Key=key)

    assert control.abort_uploads("a/b.1") == 2
    assert control.abort_uploads("a/b.1") == 0
    assert control.abort_uploads("a/b.10") == 1


def test_finished_upload_is_no_error(control):
    key = control.target.object_key("a/b.1")
    upload = control.client().create_multipart_upload(Bucket=control.target.bucket, Key=key)["UploadId"]

    control.abort_upload("a/b.1", upload_id=upload)
    control.abort_upload("a/b.1", upload_id=upload)

    assert control.abort_uploads("a/b.1") == 0


def test_lost_answer_to_creation_is_no_error(s3_target, s3_credentials, proxy):
    name = s3_target.bucket[:40] + "-new"
    target = msgspec.structs.replace(s3_target, bucket=name, endpoint_url=proxy.url)
    bucket = S3Bucket(target, credentials=s3_credentials, retries=Retries(first_s=0.01))
    rule = proxy.fault(Fault.ANSWER_503_AFTER, "PUT", name)
    try:
        bucket.ensure()
    finally:
        bucket.client().delete_bucket(Bucket=name)

    assert rule.fired == 1


@pytest.mark.parametrize(
    "call",
    [S3Bucket.ensure, S3Bucket.lifecycle, lambda one: one.update_lifecycle(list), lambda one: one.abort_uploads("a")],
)
def test_a_wrong_key_is_told_with_the_remedy(s3_target, call):
    bucket = S3Bucket(s3_target, credentials=lambda: Credentials("nobody", "secret-nobody"))

    with pytest.raises(BlobStoreUnavailable, match="AWS_SECRET_ACCESS_KEY") as raised:
        call(bucket)

    assert "secret-nobody" not in str(raised.value)
