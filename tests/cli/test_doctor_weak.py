"""doctor on object stores that support less than S3."""

from collections.abc import Callable
from contextlib import contextmanager, suppress

import boto3
import pytest

from tests.weakstore import Lack, weak_store

RULE = {"ID": "logs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 3}}


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
def findings(run, s3_server, bucket) -> Callable[..., dict[str, dict]]:
    """What doctor says of a store that lacks this, by the probe's name."""

    @contextmanager
    def store(*lacks: Lack):
        with weak_store(s3_server.endpoint, (s3_server.access_key, s3_server.secret_key), *lacks) as weak:
            yield weak
            assert set(weak.fired) == set(lacks)

    def findings(*lacks: Lack) -> dict[str, dict]:
        with store(*lacks) as weak:
            done = run(
                "doctor",
                "--json",
                RESULTSTORE_BLOBS_URL=f"s3://{bucket}/some/place",
                RESULTSTORE_S3_ENDPOINT=weak.url,
                AWS_ACCESS_KEY_ID=s3_server.access_key,
                AWS_SECRET_ACCESS_KEY=s3_server.secret_key,
            )
        return {one["name"]: one for one in done.told}

    return findings


def test_a_store_that_ignores_ranges_is_named(findings):
    found = findings(Lack.RANGES)["blobs"]

    assert found["verdict"] == "wrong"
    assert "ignores ranges" in found["text"]
    assert "Range header" in found["remedy"]
    assert "no answer" not in found["text"]


@pytest.mark.parametrize("lack", [Lack.RULE_CONFLICT, Lack.LIFECYCLE_WRITING, Lack.LIFECYCLE])
def test_rules_that_cannot_be_written_are_unsupported(findings, lack):
    found = findings(lack)["store knows lifecycle"]

    assert found["verdict"] == "warning"
    assert "rules cannot be written" in found["text"]
    assert "resultstore sweep" in found["remedy"]


@pytest.mark.parametrize("standing", [[], [RULE]])
def test_the_doctor_leaves_rules_as_they_are(findings, client, bucket, standing):
    if standing:
        client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": standing})

    found, left = findings()["store knows lifecycle"], []

    assert (found["verdict"], found["text"]) == ("ok", "rules can be written")
    with suppress(client.exceptions.ClientError):  # NoSuchLifecycleConfiguration
        left += client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert [one["ID"] for one in left] == [one["ID"] for one in standing]
