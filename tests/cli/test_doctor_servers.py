"""doctor on servers that refuse: one row names the cause and the remedy, whatever is wrong."""

import json
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from resultstore.ops.settings_check import check_certificates
from tests.cli.conftest import FOREIGN
from tests.index.redis.conftest import PrivateRedis, self_signed


@pytest.fixture
def examined(run) -> Callable[..., dict[str, dict]]:
    """What doctor reports, by the check's name; no run ends in a traceback."""

    def examined(*options: str, **variables: str) -> dict[str, dict]:
        done = run("doctor", "--json", *options, **variables)
        assert "Traceback" not in done.err
        found = {one["name"]: one for one in done.told}
        assert done.code == (1 if any(one["verdict"] == "wrong" for one in found.values()) else 0)
        return found

    return examined


@contextmanager
def running(folder: Path, *options: str) -> Iterator[PrivateRedis]:
    server = PrivateRedis(folder, *options)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


BROKERS = {
    "wrong password": ("amqp://nobody:hunter2@{amqp}//", "ACCESS_REFUSED", "the user and the password"),
    "no vhost": ("amqp://{user}@{amqp}/no-such-vhost", "vhost", "add_vhost"),
    "down": ("amqp://a:hunter2@127.0.0.1:{free}//", "refused", "start the broker"),
    "no host": ("amqp://a:hunter2@no-such-host.invalid//", "known", "host name"),
    "no TLS": ("amqps://a:hunter2@{amqp}//", "SSL", "without TLS"),
    "no port": ("amqp://a:hunter2@127.0.0.1:port//", "cannot be read", "RESULTSTORE_BROKER_URL"),
    "no transport": ("pigeon://a:hunter2@coop", "pigeon", "RESULTSTORE_BROKER_URL"),
    "redis password": ("redis://:hunter2@{redis}/0", "password", "the user and the password"),
    "amqp on Redis": ("amqp://a:hunter2@{redis}//", "", "RabbitMQ's port?"),
    "amqp on MinIO": ("amqp://a:hunter2@{s3}//", "", "RabbitMQ's port?"),
    "redis on RabbitMQ": ("redis://{amqp}/0", "", "not a Redis server"),
    "redis on MinIO": ("redis://{s3}/0", "", "not a Redis server"),
    "redis down": ("redis://:hunter2@127.0.0.1:{free}/0", "refused", "start the broker"),
}


@pytest.mark.parametrize("case", BROKERS)
def test_unusable_broker_is_one_row(examined, amqp_url, redis_url, s3_server, case):
    url, text, remedy = BROKERS[case]
    amqp, user = urlsplit(amqp_url), urlsplit(amqp_url).netloc.rpartition("@")[0]
    addresses = {"amqp": f"{amqp.hostname}:{amqp.port}", "redis": urlsplit(redis_url).netloc.rpartition("@")[2]}
    addresses["s3"] = urlsplit(s3_server.endpoint).netloc

    found = examined(RESULTSTORE_BROKER_URL=url.format(user=user, free=free_port(), **addresses))

    assert [name for name, one in found.items() if one["verdict"] == "wrong"] == ["broker"]
    assert text in found["broker"]["text"]
    assert remedy in found["broker"]["remedy"]
    assert "hunter2" not in json.dumps(found)


@pytest.mark.parametrize(("transport", "library"), [("mongodb", "pymongo"), ("confluentkafka", "confluent-kafka")])
def test_missing_library_of_a_broker_is_named(examined, transport, library):
    found = examined(RESULTSTORE_BROKER_URL=f"{transport}://127.0.0.1")["broker"]

    assert found["verdict"] == "wrong"
    assert f"missing: {library}" in found["text"]
    assert found["remedy"] == f"run pip install 'kombu[{transport}]'"


STORES = {
    "wrong secret": ({"AWS_SECRET_ACCESS_KEY": "not-it"}, "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
    "unknown key": ({"AWS_ACCESS_KEY_ID": "nobody"}, "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
    "no bucket": ({"RESULTSTORE_BLOBS_URL": "s3://no-such-bucket/a"}, "NoSuchBucket", "resultstore setup"),
    "down": ({"RESULTSTORE_S3_ENDPOINT": "http://127.0.0.1:{free}"}, "nothing listens", "RESULTSTORE_S3_ENDPOINT"),
    "no TLS": ({"RESULTSTORE_S3_ENDPOINT": "https://{s3}"}, "TLS", "write http://"),
}


@pytest.mark.parametrize("case", STORES)
def test_unusable_store_is_one_row(examined, s3_server, bucket, case):
    variables, text, remedy = STORES[case]
    store = {
        "RESULTSTORE_BLOBS_URL": f"s3://{bucket}/some/place",
        "RESULTSTORE_S3_ENDPOINT": s3_server.endpoint,
        "AWS_ACCESS_KEY_ID": s3_server.access_key,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret_key,
    }
    given = {
        name: one.format(free=free_port(), s3=urlsplit(s3_server.endpoint).netloc) for name, one in variables.items()
    }

    found = examined(**store | given)

    assert [name for name, one in found.items() if one["verdict"] == "wrong"] == ["blobs"]
    assert text in found["blobs"]["text"]
    assert remedy in found["blobs"]["remedy"]
    assert len(found["blobs"]["skipped"]) > 10
    assert not found.keys() & set(found["blobs"]["skipped"])


INDEXES = {
    "wrong password": ("redis://:hunter2@{redis}/0", "password", "the user and the password"),
    "down": ("redis://127.0.0.1:{free}/0", "refused", "Redis runs"),
    "no host": ("redis://no-such-host.invalid:6379/0", "no-such-host.invalid", "host name"),
    "on RabbitMQ": ("redis://{amqp}/0", "Protocol", "not a Redis server"),
    "on MinIO": ("redis://{s3}/0", "Protocol", "not a Redis server"),
    "no database": ("redis://{user_of_redis}@{redis}/999", "out of range", "RESULTSTORE_INDEX_URL"),
}


@pytest.mark.parametrize("case", INDEXES)
def test_unusable_index_is_one_row(examined, redis_url, amqp_url, s3_server, case):
    url, text, remedy = INDEXES[case]
    user, _, address = urlsplit(redis_url).netloc.rpartition("@")

    addresses = {"redis": address, "amqp": urlsplit(amqp_url).netloc.rpartition("@")[2]}
    addresses["s3"] = urlsplit(s3_server.endpoint).netloc

    found = examined(RESULTSTORE_INDEX_URL=url.format(free=free_port(), user_of_redis=user, **addresses))

    assert [name for name, one in found.items() if one["verdict"] == "wrong"] == ["index"]
    assert text in found["index"]["text"]
    assert remedy in found["index"]["remedy"]
    assert found["index"]["skipped"] == ["index memory"]


def test_failing_app_does_not_hide_other_checks(examined, place):
    (place.folder / "sick.py").write_text('raise RuntimeError("the database is away")\n')

    found = examined("--app", "sick")

    assert "the database is away" in found["app"]["text"]
    assert found["index"]["verdict"] == "ok"


def test_broker_of_the_app_is_checked(examined, place):
    url = f"amqp://a:hunter2@127.0.0.1:{free_port()}//"
    (place.folder / "shop.py").write_text(
        "from celery import Celery\nfrom resultstore.backends.celery import setup\n"
        f"app = Celery('shop', broker={url!r}, backend='resultstore+memory://?blobs=memory://')\nsetup(app)\n"
    )

    found = examined("--app", "shop")

    assert found["broker"]["verdict"] == "ok"
    assert found["broker of the app"]["verdict"] == "wrong"
    assert "the app's broker_url" in found["broker of the app"]["remedy"]


def test_private_authority_is_trusted_by_one_variable(examined, tmp_path):
    key, certificate = self_signed(tmp_path)
    port = free_port()
    options = ("--tls-port", str(port), "--tls-key-file", key, "--tls-cert-file", certificate)
    with running(tmp_path, *options, "--tls-ca-cert-file", certificate, "--tls-auth-clients", "no"):
        url = f"rediss://127.0.0.1:{port}/0"
        unverified = examined(RESULTSTORE_INDEX_URL=url, RESULTSTORE_BROKER_URL=url)
        servers = {"RESULTSTORE_INDEX_URL": url, "RESULTSTORE_BROKER_URL": f"{url}?ssl_cert_reqs=required"}
        refused, trusted = examined(**servers), examined(**servers, SSL_CERT_FILE=certificate)

    for name in ("index", "broker"):
        assert refused[name]["verdict"] == "wrong"
        assert "SSL_CERT_FILE" in refused[name]["remedy"]
        assert trusted[name]["verdict"] == "ok", trusted[name]
    assert unverified["broker"]["verdict"] == "warning"  # kombu's default
    assert "ssl_cert_reqs=required" in unverified["broker"]["remedy"]
    assert "SSL_CERT_FILE names 1 authorities" in trusted["certificates"]["text"]


def test_system_authorities_name_no_set_variable(monkeypatch):
    for name in ("SSL_CERT_FILE", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)

    assert "neither SSL_CERT_FILE nor AWS_CA_BUNDLE is set" in check_certificates()


def test_unreadable_authorities_are_found(examined, tmp_path):
    found = examined(SSL_CERT_FILE=str(tmp_path / "none.pem"))["certificates"]

    assert found["verdict"] == "wrong"
    assert "none.pem" in found["text"]


def test_rows_are_printed_while_it_works(place, tmp_path):
    with running(tmp_path) as server, server.hung():
        rest = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        variables = place.variables() | {"RESULTSTORE_INDEX_URL": server.url}
        command = [sys.executable, "-m", "resultstore.cli", "doctor"]
        doctor = subprocess.Popen(
            command, cwd=place.folder, env=rest | variables, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        try:
            seen = b""
            while b"secret key" not in seen:  # a pipe: Python would keep it until the end
                line = doctor.stdout.readline()
                assert line, seen
                seen += line
            still_running = doctor.poll() is None
        finally:
            doctor.kill()
            doctor.communicate()

    assert still_running


def test_unknown_variables_are_named_with_similar_ones(examined):
    secret = uuid.uuid4().hex

    found = examined(RESULTSTORE_S3_ENDPONT=secret, RESULTSTORE_PIGEONS=secret)

    assert found["settings"]["verdict"] == "warning"
    assert "RESULTSTORE_S3_ENDPONT (similar: RESULTSTORE_S3_ENDPOINT)" in found["settings"]["text"]
    assert "RESULTSTORE_PIGEONS" in found["settings"]["text"]
    assert secret not in json.dumps(found)


@pytest.mark.parametrize("variable", ["RESULTSTORE_GATEWAY_URL", "RESULTSTORE_BYTES_URL"])
def test_public_address_must_resolve(examined, variable):
    wrong = examined(**{variable: "https://files.no-such-host.invalid"})["public addresses"]
    right = examined(**{variable: "https://localhost"})["public addresses"]

    assert (wrong["verdict"], right["verdict"]) == ("warning", "ok")
    assert "files.no-such-host.invalid" in wrong["text"]
    assert variable in wrong["remedy"]
