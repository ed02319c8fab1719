"""`setup` on a real object store: bucket, lifecycle rules, layout marker."""

import uuid

import boto3
import pytest

from resultstore.ops.lifecycle import rules

FOREIGN = {"ID": "logs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 3}}


@pytest.fixture
def client(s3_server):
    return boto3.client(
        "s3",
        endpoint_url=s3_server.endpoint,
        aws_access_key_id=s3_server.access_key,
        aws_secret_access_key=s3_server.secret_key,
        region_name="us-east-1",
    )


@pytest.fixture
def on_s3(run, s3_server):
    """Run a command on a store below a root in the named bucket."""

    def run_there(*args, bucket, **more):
        return run(
            *args,
            **more,
            RESULTSTORE_BLOBS_URL=f"s3://{bucket}/some/place",
            RESULTSTORE_S3_ENDPOINT=s3_server.endpoint,
            AWS_ACCESS_KEY_ID=s3_server.access_key,
            AWS_SECRET_ACCESS_KEY=s3_server.secret_key,
        )

    return run_there


def test_setup_is_complete_and_can_be_repeated(on_s3, client):
    name = f"setup-{uuid.uuid4().hex}"
    try:
        first = on_s3("setup", "--json", bucket=name)
        second = on_s3("setup", "--json", bucket=name)

        assert first.told == {"bucket": "created", "lifecycle": "rules written", "layout": "format 1, marker written"}
        assert all(value.endswith("up to date") for value in second.told.values())
        standing = client.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
        assert {rule["ID"]: rule["Expiration"]["Days"] for rule in standing} == {
            rule.id: rule.days for rule in rules("some/place")
        }
    finally:
        client.delete_object(Bucket=name, Key="some/place/layout.json")
        client.delete_bucket(Bucket=name)


def test_the_rules_of_others_survive_setup(on_s3, client, bucket):
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [FOREIGN]})

    assert on_s3("setup", bucket=bucket).code == 0

    standing = client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert len(standing) == 1 + len(rules())
    assert next(rule for rule in standing if rule["ID"] == "logs")["Expiration"]["Days"] == 3


def test_doctor_reports_a_missing_bucket(on_s3):
    done = on_s3("doctor", "--json", bucket=f"none-{uuid.uuid4().hex}")

    wrong = next(one for one in done.told if one["name"] == "blobs")
    assert done.code == 1
    assert "resultstore setup" in wrong["remedy"]


def test_the_doctor_tries_what_the_store_really_keeps(on_s3, bucket):
    done = on_s3("doctor", "--json", bucket=bucket)

    tried = {one["name"]: one["verdict"] for one in done.told if one["name"].startswith("store ")}
    assert len(tried) == 10
    assert tried["store creates once"] == tried["store ends urls"] == "ok"


def test_setup_refuses_a_store_that_writes_unsigned(on_s3, client, bucket):
    refused = on_s3("setup", bucket=bucket, RESULTSTORE_ACCEPT_FORGEABLE_STORE="false")
    left = client.list_objects_v2(Bucket=bucket).get("Contents", [])
    accepted = on_s3("setup", bucket=bucket)

    assert refused.code not in {0, 2}
    for word in ("CVE-2026-41145", "CVE-2026-40344", "update the store", "docs/how-to/minio.md"):
        assert word in refused.err
    assert left == []
    assert accepted.code == 0, accepted.err
    assert "CVE-2026-41145" in accepted.err


def test_doctor_ends_nonzero_on_unsigned_writes(on_s3, bucket):
    on_s3("setup", bucket=bucket)

    unaccepted = on_s3("doctor", "--json", bucket=bucket, RESULTSTORE_ACCEPT_FORGEABLE_STORE="false")
    accepted = on_s3("doctor", "--json", bucket=bucket)

    [wrong] = [one for one in unaccepted.told if one["verdict"] == "wrong"]
    assert (unaccepted.code, wrong["name"]) == (1, "store refuses unsigned writes")
    assert "CVE-2026-41145" in wrong["text"]
    assert "docs/how-to/minio.md" in wrong["remedy"]
    assert accepted.code == 0
    assert "store refuses unsigned writes" in {one["name"] for one in accepted.told if one["verdict"] == "warning"}


def test_a_sweep_says_what_it_deleted(on_s3, bucket):
    done = on_s3("sweep", "--json", bucket=bucket)

    assert done.told == {"blobs": 0, "seals": 0}
