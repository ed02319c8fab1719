"""Accounts of `resultstore setup minio`: rights of the signing accounts, and given keys."""

import uuid

import pytest

from tests.cli.conftest import ROOT, client, refused

pytestmark = pytest.mark.timeout(240)


def test_what_signs_can_do_nothing_else(set_up, server):
    bucket, profiles = set_up.bucket, set_up.profiles()
    reader, uploader = (client(server, profiles[f"resultstore-{role}"]) for role in ("reader", "uploader"))
    blob, upload = f"{ROOT}/blobs/1d/ab/w", f"{ROOT}/uploads/1d/ab/w"
    server.s3.put_object(Bucket=bucket, Key=blob, Body=b"a result")

    assert reader.get_object(Bucket=bucket, Key=blob)["Body"].read() == b"a result"
    uploader.put_object(Bucket=bucket, Key=upload, Body=b"sent")
    assert reader.get_object(Bucket=bucket, Key=upload)["Body"].read() == b"sent"
    source = {"Bucket": bucket, "Key": blob}
    tries = {
        "reader writes": lambda: reader.put_object(Bucket=bucket, Key=upload, Body=b"x"),
        "reader deletes": lambda: reader.delete_object(Bucket=bucket, Key=blob),
        "reader lists": lambda: reader.list_objects_v2(Bucket=bucket, Prefix=f"{ROOT}/blobs/"),
        "reader reads the marker": lambda: reader.get_object(Bucket=bucket, Key=f"{ROOT}/layout.json"),
        "uploader reads": lambda: uploader.get_object(Bucket=bucket, Key=upload),
        "uploader copies": lambda: uploader.copy_object(Bucket=bucket, Key=upload, CopySource=source),
        "uploader deletes": lambda: uploader.delete_object(Bucket=bucket, Key=upload),
        "uploader lists": lambda: uploader.list_objects_v2(Bucket=bucket, Prefix=f"{ROOT}/uploads/"),
        "uploader writes blobs": lambda: uploader.put_object(Bucket=bucket, Key=blob, Body=b"x"),
        "uploader writes seals": lambda: uploader.put_object(Bucket=bucket, Key=f"{ROOT}/seals/ab/w", Body=b"x"),
    }
    assert {name: refused(one) for name, one in tries.items()} == dict.fromkeys(tries, "AccessDenied")


def test_accounts_get_the_keys_that_are_given(set_up, server):
    name = uuid.uuid4().hex[:6]
    keys = {role: (f"own-{role}-{name}", uuid.uuid4().hex) for role in ("worker", "gateway", "reader", "uploader")}
    given = " ".join(f"{role}={key}:{secret}" for role, (key, secret) in keys.items())
    place = {
        "RESULTSTORE_BLOBS_URL": f"s3://{set_up.bucket}/given",
        "RESULTSTORE_BUCKET_EVENTS_EXCHANGE": "",
        "RESULTSTORE_SETUP_ACCOUNTS": given,
    }

    first = set_up.run("--credentials", "none.ini", **place)
    again = set_up.run("--json", "--credentials", "none.ini", **place)
    damaged = set_up.run(**place | {"RESULTSTORE_SETUP_ACCOUNTS": "worker=key:hidden reader=hidden"})

    assert (first.code, again.code) == (0, 0), first.err + again.err
    assert again.told["credentials"] == "up to date"
    assert not (set_up.folder / "none.ini").exists()
    key, secret = keys["uploader"]
    s3 = client(server, {"aws_access_key_id": key, "aws_secret_access_key": secret})
    s3.put_object(Bucket=set_up.bucket, Key="given/uploads/1d/ab/x", Body=b"x")
    assert refused(lambda: s3.put_object(Bucket=set_up.bucket, Key="given/seals/ab/x", Body=b"x")) == "AccessDenied"
    assert damaged.code == 1
    assert "role=key:secret" in damaged.err
    assert not [one for one in ("hidden", secret) if one in damaged.err + first.err + first.out.decode()]
