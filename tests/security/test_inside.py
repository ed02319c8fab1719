"""Insiders: a worker's keys, access to the broker, or self-made tokens give no further access."""

import time

import httpx
import jwt
import pytest

from resultstore import Settings
from tests.cli.conftest import ROOT, client, refused, server, set_up  # noqa: F401 - fixtures of a private MinIO
from tests.uploads.conftest import environment, photo, send, serving  # noqa: F401 - a fixture
from tests.uploads.telling import publish
from tests.uploads.test_bucket_events import event, key_of, told  # noqa: F401 - a fixture

pytestmark = pytest.mark.timeout(240)

ISSUER, SECRET = "https://issuer.example", "s" * 32


def test_worker_keys_are_limited_to_their_prefix(set_up, server, attack):  # noqa: F811 - the fixtures
    worker, bucket = client(server, set_up.profiles()["resultstore-worker"]), set_up.bucket
    server.s3.put_object(Bucket=bucket, Key="other/seals/ab/x", Body=b"another's")
    with attack("a worker's credentials on another prefix") as seen:
        tries = (
            lambda: worker.put_object(Bucket=bucket, Key="other/seals/ab/x", Body=b"mine"),
            lambda: worker.get_object(Bucket=bucket, Key="other/seals/ab/x"),
            lambda: worker.delete_object(Bucket=bucket, Key="other/seals/ab/x"),
            lambda: worker.list_objects_v2(Bucket=bucket, Prefix="other/"),
            lambda: worker.put_object(Bucket=bucket, Key=f"{ROOT}2/seals/ab/x", Body=b"mine"),
            lambda: worker.delete_object(Bucket=bucket, Key=f"{ROOT}/seals/ab/x"),
            lambda: worker.create_bucket(Bucket=f"{bucket}3"),
        )
        assert {refused(one) for one in tries} == {"AccessDenied"}
        seen.refused()
    assert server.s3.get_object(Bucket=bucket, Key="other/seals/ab/x")["Body"].read() == b"another's"


def test_forged_event_starts_nothing_and_blocks_nothing(told, photo, attack):  # noqa: F811 - the fixtures
    place, settings, worker = told
    ticket = place.ticket(size_bytes=len(photo), options={"widths": [80]})
    key = key_of(place, ticket)
    with attack("a forged event on RabbitMQ", max_s=60) as seen:
        publish(
            settings,
            *(b"\xff\xfe", b"{}", b'{"Records":[{}]}', b"[" * 50_000),
            event(key, size=len(photo)),  # nothing has arrived
            event(key.replace("root/uploads/", "root/blobs/")),
            event("root/uploads/../layout.json"),
        )
        time.sleep(1)
        assert place.store.load(ticket["id"]).state == "UPLOADING"
        assert worker.starts_of(ticket["id"]) == 0
        send(ticket, photo).raise_for_status()
        assert place.store.wait(ticket["id"], timeout_s=50).state == "SUCCESS"
        seen.harmless()


def test_self_made_token_is_refused(redis_url, amqp_url, s3_server, tmp_path, attack):
    variables = environment(redis_url, amqp_url, s3_server, f"file://{tmp_path}/blobs")
    jwts = {"AUTH": "jwt", "JWT_ISSUER": ISSUER, "JWT_AUDIENCE": "resultstore", "JWT_SECRET": SECRET}
    good = {"iss": ISSUER, "aud": "resultstore", "sub": "ann", "exp": time.time() + 300, "scope": "read"}
    forged = {
        "unsigned": jwt.encode(good, None, algorithm="none"),
        "another key": jwt.encode(good, "x" * 32, algorithm="HS256"),
        "another audience": jwt.encode(good | {"aud": "another"}, SECRET, algorithm="HS256"),
        "another issuer": jwt.encode(good | {"iss": "https://evil.example"}, SECRET, algorithm="HS256"),
        "expired": jwt.encode(good | {"exp": time.time() - 3_600}, SECRET, algorithm="HS256"),
        "a kid that is a path": jwt.encode(good, "\0" * 32, algorithm="HS256", headers={"kid": "../../dev/null"}),
    }
    with pytest.MonkeyPatch.context() as patch, attack("a forged JWT") as seen:
        for name in ("BUCKET_EVENTS_EXCHANGE", "BROKER_QUEUE"):  # as the fixture has set them
            patch.delenv(f"RESULTSTORE_{name}", raising=False)
        for name, value in (variables | {f"RESULTSTORE_{name}": value for name, value in jwts.items()}).items():
            patch.setenv(name, value)
        with serving(Settings()) as place:

            def answer(token: str) -> httpx.Response:
                return place.gateway.get("/v1/results", headers={"Authorization": f"Bearer {token}"})

            assert answer(jwt.encode(good, SECRET, algorithm="HS256")).status_code == 200
            assert {name: answer(one).status_code for name, one in forged.items()} == dict.fromkeys(forged, 401)
        seen.refused()
