"""`setup minio` on a real server: bucket notifications, expiry, and least-privilege accounts."""

import json

import httpx
import pytest
from kombu import Connection

from resultstore import Settings
from resultstore.backends.celery.worker.bucket_events import events_queue
from resultstore.ops.embedded import free_port
from resultstore.ops.lifecycle import is_ours, rules
from resultstore.testing.promises import MIB
from resultstore_tasks.samples import photos
from tests.cli.conftest import ROOT, client, refused
from tests.uploads.conftest import send, send_parts, serving
from tests.uploads.telling import Worker, until

pytestmark = pytest.mark.timeout(240)


def accounts_of(server) -> list[dict[str, object]]:
    """In an order of their own: MinIO sends them in any order."""
    told = json.loads(server.admin.list_service_account(server.access_key))
    return sorted(told["accounts"], key=lambda one: one["accessKey"])


def test_dry_run_changes_nothing(set_up, server):
    config, secrets = server.admin.config_get("notify_amqp"), set_up.profiles()
    accounts = accounts_of(server)

    again, dry_again = set_up.run("--json"), set_up.run("--dry-run", "--json")

    assert (set_up.dry.code, set_up.dry.told["bucket"]) == (0, "would be created"), set_up.dry.err
    assert set_up.bucket not in set_up.buckets_after_dry
    for later in (again, dry_again):
        assert later.code == 0, later.err
        assert all(text.endswith("up to date") for text in later.told.values()), later.told
    assert set(again.told) == {
        *("bucket", "lifecycle", "layout", "unfinished uploads", "events", "notification"),
        *("credentials", "resultstore-worker", "resultstore-gateway", "resultstore-reader", "resultstore-uploader"),
    }
    assert server.admin.config_get("notify_amqp") == config
    assert accounts_of(server) == accounts
    assert set_up.profiles() == secrets


def test_secrets_are_in_one_private_file_only(set_up):
    path = set_up.folder / "minio-credentials.ini"
    before, known = path.read_text(), set_up.profiles()
    assert path.stat().st_mode & 0o777 == 0o600
    assert set(known) == {f"resultstore-{role}" for role in ("worker", "gateway", "reader", "uploader")}

    refused_to_renew = set_up.run("--renew")
    renewed = set_up.run("--renew", "--credentials", "second.ini")

    assert (refused_to_renew.code, path.read_text()) == (1, before)
    assert "move it away" in refused_to_renew.err
    assert renewed.code == 0, renewed.err
    said = "".join(one.out.decode() + one.err for one in (set_up.first, refused_to_renew, renewed))
    assert "rs-worker-" in said
    (set_up.folder / "second.ini").rename(path)
    now = set_up.profiles()
    secrets = [one["aws_secret_access_key"] for one in (*known.values(), *now.values())]
    assert len(set(secrets)) == 8
    assert not [one for one in (*secrets, set_up.settings.broker.url) if one in said]


def test_notifications_cover_uploads_only(set_up, server):
    bucket, s3 = set_up.bucket, server.s3
    [ours] = s3.get_bucket_notification_configuration(Bucket=bucket)["QueueConfigurations"]
    logs = {"Key": {"FilterRules": [{"Name": "prefix", "Value": "logs/"}]}}
    foreign = {"Id": "logs", "QueueArn": ours["QueueArn"], "Events": ["s3:ObjectRemoved:*"], "Filter": logs}
    damaged = {"QueueConfigurations": [foreign, {**ours, "Events": ["s3:ObjectCreated:Copy"]}]}
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=damaged)

    looked = set_up.run("--dry-run", "--json")
    untouched = s3.get_bucket_notification_configuration(Bucket=bucket)["QueueConfigurations"]
    mended = set_up.run("--json")
    for key in (f"{ROOT}/seals/x", "uploads/x", f"{ROOT}/uploads/x"):  # the one that brings an event is the last
        s3.put_object(Bucket=bucket, Key=key, Body=b"1")

    assert looked.told["notification"].startswith("to do: what arrives")
    assert ["s3:ObjectCreated:Copy"] in [one["Events"] for one in untouched], "a dry run changes nothing"
    assert mended.code == 0, mended.err
    assert mended.told["notification"].startswith("what arrives")
    with Connection(set_up.settings.broker.url) as connection:
        queue = events_queue(set_up.settings)(connection.default_channel)
        came: list[str] = []  # those of earlier tests too, which a loaded store may send late

        def has_come() -> bool:
            while (message := queue.get(no_ack=True)) is not None:
                came.append(json.loads(message.body)["Key"])
            return f"{bucket}/{ROOT}/uploads/x" in came

        until(has_come, "the event has come")
        assert {key.startswith(f"{bucket}/{ROOT}/uploads/") for key in came} == {True}
    now = s3.get_bucket_notification_configuration(Bucket=bucket)["QueueConfigurations"]
    assert {one["Id"] for one in now} == {"logs", ours["Id"]}, "others' rules are left alone"
    lifecycle = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    mine = [one for one in lifecycle if is_ours(one, root=ROOT)]  # another test sets up another root of this bucket
    assert {one["ID"] for one in mine} == {one.id for one in rules(ROOT)}
    assert "stale_uploads_expiry=24h" in server.admin.config_get("api")


def test_worker_account_writes_below_its_root_only(set_up, server):
    worker, bucket = client(server, set_up.profiles()["resultstore-worker"]), set_up.bucket
    server.s3.create_bucket(Bucket=f"{bucket}2")
    server.s3.put_object(Bucket=bucket, Key="other/place/seals/ab/x", Body=b"another's")

    for area in ("blobs/1d", "seals", "uploads/1d"):
        worker.put_object(Bucket=bucket, Key=f"{ROOT}/{area}/ab/x", Body=b"ours", Tagging="rs-class=1d")
        assert worker.get_object(Bucket=bucket, Key=f"{ROOT}/{area}/ab/x")["Body"].read() == b"ours"
    worker.delete_object(Bucket=bucket, Key=f"{ROOT}/blobs/1d/ab/x")
    tries = {
        "another prefix": lambda: worker.put_object(Bucket=bucket, Key="other/place/seals/ab/x", Body=b"mine"),
        "a name that begins alike": lambda: worker.put_object(Bucket=bucket, Key=f"{ROOT}2/seals/ab/x", Body=b"mine"),
        "out of the root": lambda: worker.put_object(Bucket=bucket, Key="x", Body=b"mine"),
        "the marker": lambda: worker.put_object(Bucket=bucket, Key=f"{ROOT}/layout.json", Body=b"mine"),
        "a seal's end": lambda: worker.delete_object(Bucket=bucket, Key=f"{ROOT}/seals/ab/x"),
        "to read another's": lambda: worker.get_object(Bucket=bucket, Key="other/place/seals/ab/x"),
        "to copy another's": lambda: worker.copy_object(
            Bucket=bucket, Key=f"{ROOT}/blobs/1d/ab/y", CopySource=f"{bucket}/other/place/seals/ab/x"
        ),
        "to list another's": lambda: worker.list_objects_v2(Bucket=bucket, Prefix="other/"),
        "to list all": lambda: worker.list_objects_v2(Bucket=bucket),
        "another bucket": lambda: worker.put_object(Bucket=f"{bucket}2", Key=f"{ROOT}/seals/ab/x", Body=b"mine"),
        "a bucket of its own": lambda: worker.create_bucket(Bucket=f"{bucket}3"),
        "the rules": lambda: worker.delete_bucket_lifecycle(Bucket=bucket),
        "events": lambda: worker.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={}),
    }
    assert {name: refused(one) for name, one in tries.items()} == dict.fromkeys(tries, "AccessDenied")
    assert server.s3.get_object(Bucket=bucket, Key="other/place/seals/ab/x")["Body"].read() == b"another's"


def test_gateway_account_changes_no_result(set_up, server):
    gateway, bucket = client(server, set_up.profiles()["resultstore-gateway"]), set_up.bucket
    blob, upload = f"{ROOT}/blobs/1d/ab/z", f"{ROOT}/uploads/1d/ab/z"
    server.s3.put_object(Bucket=bucket, Key=blob, Body=b"a result")

    def url(action: str, key: str) -> str:
        return gateway.generate_presigned_url(action, Params={"Bucket": bucket, "Key": key})

    assert httpx.get(url("get_object", blob)).content == b"a result"
    assert httpx.put(url("put_object", upload), content=b"sent").status_code == 200
    gateway.create_multipart_upload(Bucket=bucket, Key=f"{upload}2")
    assert gateway.list_multipart_uploads(Bucket=bucket, Prefix=f"{upload}2")["Uploads"]
    gateway.delete_object(Bucket=bucket, Key=upload)
    assert [
        httpx.request(method, url(action, key), content=b"" if method == "DELETE" else b"forged").status_code
        for method, action, key in (
            ("PUT", "put_object", blob),
            ("DELETE", "delete_object", blob),
            ("PUT", "put_object", f"{ROOT}/seals/ab/z"),
            ("GET", "get_object", "other/place/seals/ab/x"),
            ("PUT", "put_object", "other/place/uploads/x"),
        )
    ] == [403] * 5
    assert httpx.get(url("get_object", blob)).content == b"a result"


def test_missing_rights_or_rabbitmq_are_reported(set_up):
    worker = set_up.profiles()["resultstore-worker"]
    no_admin = set_up.run(
        "--dry-run",
        AWS_ACCESS_KEY_ID=worker["aws_access_key_id"],
        AWS_SECRET_ACCESS_KEY=worker["aws_secret_access_key"],
    )
    elsewhere = set_up.run(RESULTSTORE_BUCKET_EVENTS_BROKER_URL="amqp://someone:hidden@127.0.0.1:1//")

    assert no_admin.code == 1
    assert "administrator's" in no_admin.err
    assert "AWS_ACCESS_KEY_ID" in no_admin.err
    assert elsewhere.code == 1
    assert "RESULTSTORE_BUCKET_EVENTS_BROKER_URL" in elsewhere.err
    assert "hidden" not in elsewhere.err


def test_gateway_and_worker_run_with_these_accounts(set_up, monkeypatch, tmp_path):
    for name in ("index_url", "broker_url", "broker_queue", "blobs_url", "s3_endpoint", "bucket_events_exchange"):
        monkeypatch.setenv(f"RESULTSTORE_{name.upper()}", getattr(set_up.settings, name))
    monkeypatch.setenv("RESULTSTORE_SECRET_KEY", "k" * 32)
    monkeypatch.setenv("RESULTSTORE_GATEWAY_PORT", str(free_port()))
    for name, value in set_up.profiles()["resultstore-gateway"].items():
        monkeypatch.setenv(name.upper(), value)
    monkeypatch.setenv("RESULTSTORE_ACCEPT_FORGEABLE_STORE", "false")  # these accounts need no such thing
    for setting, role in (("S3_SIGN", "reader"), ("S3_UPLOAD_SIGN", "uploader")):
        pair = set_up.profiles()[f"resultstore-{role}"]
        monkeypatch.setenv(f"RESULTSTORE_{setting}_ACCESS_KEY", pair["aws_access_key_id"])
        monkeypatch.setenv(f"RESULTSTORE_{setting}_SECRET_KEY", pair["aws_secret_access_key"])
    of_worker = {name.upper(): value for name, value in set_up.profiles()["resultstore-worker"].items()}
    settings, photo = Settings(), photos()[0].content
    worker = Worker(settings, tmp_path / "log", app="tests.uploads.small_app", pool="solo", **of_worker)

    with serving(settings) as place, worker:
        single = place.ticket(size_bytes=len(photo), options={"widths": [80]})
        send(single, photo).raise_for_status()  # and its client vanishes: the event finishes it
        done = place.store.wait(single["id"], timeout_s=90)
        assert done.state == "SUCCESS", done.failure
        link = place.gateway.get(f"/v1/results/{done.id}/artifacts/china-80.webp").headers["location"]
        assert httpx.get(link).status_code == 200
        shares = place.gateway.post(f"/v1/results/{done.id}/artifacts/china-80.webp/shares", json={"max_uses": 1})
        assert [httpx.get(shares.json()["url"]).status_code for _ in range(2)] == [302, 410]
        large = place.ticket(name="t.csv", media_type="text/csv", task="tables.convert", size_bytes=17 * MIB)
        send_parts(large, bytes(17 * MIB), {1, 2})
        assert len(place.gateway.get(f"/v1/uploads/{large['id']}").json()["received"]) == 2
        assert place.gateway.delete(f"/v1/uploads/{large['id']}").status_code == 204
        assert place.gateway.get("/v1/results/nobody-knows-this").status_code == 404
        assert place.gateway.get("/readyz").status_code == 200

        kept = place.gateway.delete(f"/v1/results/{done.id}")
        allowed = set_up.run("--gateway-deletes", "--json")
        gone = place.gateway.delete(f"/v1/results/{done.id}")

    assert kept.status_code == 503
    assert allowed.told["resultstore-gateway"].endswith("gets the policy of its role")
    assert gone.status_code == 204
    assert httpx.get(link).status_code == 404
