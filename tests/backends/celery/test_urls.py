"""URLs: what a backend URL and the `redis_*` settings mean."""

import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery, states
from redis.exceptions import RedisError

from resultstore.backends.celery import urls
from resultstore.model.errors import Misconfigured
from tests.index.redis.conftest import PrivateRedis, _free_port, tls_redis  # noqa: F401 - a fixture

NO_CONF: dict[str, object] = {}


@pytest.mark.parametrize(
    ("url", "index_url"),
    [
        ("redis://h:1/2", "redis://h:1/2"),
        ("resultstore+redis://ann:p%40ss@h:1/2?blobs=s3://b", "redis://ann:p%40ss@h:1/2"),
        ("rediss://h:1?ssl_cert_reqs=CERT_REQUIRED", "rediss://h:1?ssl_cert_reqs=required"),
        ("socket:///run/redis.sock?virtual_host=/3", "unix:///run/redis.sock?db=3"),
        ("unix:///run/redis.sock?db=3", "unix:///run/redis.sock?db=3"),
        ("resultstore+redis+socket:///run/redis.sock?virtual_host=5", "unix:///run/redis.sock?db=5"),
        (
            "sentinel://:pw@a:26379/1;sentinel://:pw@b:26380/1?master_name=m",
            "sentinel://:pw@a:26379,b:26380/1?master_name=m",
        ),
        ("redis://ann:pw@h:1/2?credential_provider=redis.UsernamePasswordCredentialProvider", "redis://h:1/2"),
        ("redis://h:1/0?decode_responses=true", "redis://h:1/0"),
        ("memory://", "memory://"),
    ],
)
def test_a_url_names_the_index(url: str, index_url: str):
    assert urls.read_servers(url, NO_CONF).settings.index.url == index_url


@pytest.mark.parametrize("url", ["redis-sharded://h:1", "http://h", "redis://h?ssl_cert_reqs=required"])
def test_unknown_scheme_is_refused_by_name(url: str):
    with pytest.raises(Misconfigured, match=url.partition(":")[0]):
        urls.read_servers(url, NO_CONF)


def test_unknown_certificate_check_is_refused():
    with pytest.raises(Misconfigured, match="CERT_CATS"):
        urls.read_servers("rediss://h?ssl_cert_reqs=CERT_CATS", NO_CONF)


def test_what_celery_calls_redis_settings_reaches_the_connection():
    conf = {
        "redis_max_connections": 7,
        "redis_socket_timeout": "3",
        "redis_socket_connect_timeout": 4,
        "redis_socket_keepalive": True,
        "redis_backend_health_check_interval": 5,
        "redis_client_name": "shop",
        "redis_backend_use_ssl": {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_ca_certs": "/ca.crt"},
    }
    assert urls.read_servers("redis://h", conf).redis_options == {
        "max_connections": 7,
        "socket_timeout": 3.0,
        "socket_connect_timeout": 4.0,
        "socket_keepalive": True,
        "health_check_interval": 5,
        "client_name": "shop",
        "ssl_cert_reqs": "required",
        "ssl_ca_certs": "/ca.crt",
        "connection_class": redis.SSLConnection,
    }


def test_celerys_two_minute_default_timeout_is_ignored():
    assert urls.read_servers("redis://h", Celery(set_as_current=False).conf).redis_options == {}


def test_a_credential_provider_takes_the_place_of_passwords():
    conf = {"redis_password": "pw", "redis_backend_credential_provider": "redis.UsernamePasswordCredentialProvider"}
    options = urls.read_servers("redis://h", conf).redis_options
    assert isinstance(options["credential_provider"], redis.UsernamePasswordCredentialProvider)
    assert "password" not in options
    with pytest.raises(Misconfigured, match="CredentialProvider"):
        urls.read_servers("redis://h", {"redis_backend_credential_provider": "redis.Redis"})


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:1/2", "redis://h:1/2"),
        ("redis://ann:s3cr3t@h:1/2?password=s3cr3t", "redis://ann:**@h:1/2"),
        ("redis://:s3cr3t@h", "redis://:**@h"),
        ("sentinel://:s3cr3t@a/0;sentinel://u:s3cr3t@b/0?x=s3cr3t", "sentinel://:**@a/0;sentinel://u:**@b/0"),
        ("redis://:s3c/r3t@h", "redis://:**@h"),
        ("redis://:s3c@r3t@h", "redis://:**@h"),
        ("redis://:s3c?r3t@h", "redis://:**@h"),
        ("redis://s3cr3t@h", "redis://:**@h"),
        ("", ""),
    ],
)
def test_what_banners_show_holds_no_secret(url: str, shown: str):
    assert urls.without_secrets(url) == shown


def works(app: Celery) -> bool:
    app.backend.store_result("one", "v" * 500, states.SUCCESS)
    app.backend.result_consumer.start("two")
    app.backend.store_result("two", 2, states.SUCCESS)
    return (app.AsyncResult("one").get(timeout=5), app.AsyncResult("two").get(timeout=5)) == ("v" * 500, 2)


def client(backend: str, **conf: object) -> Celery:
    app = Celery("client", broker="memory://", backend=backend, set_as_current=False)
    app.conf.update(conf)
    return app


def test_results_over_a_unix_socket(server: PrivateRedis):
    assert works(client(f"resultstore+socket://{server.unix_socket}?virtual_host=1", redis_socket_keepalive=True))


def test_results_over_tls(tls_redis: PrivateRedis):  # noqa: F811 - the fixture
    assert works(client(f"resultstore+{tls_redis.url}"))
    plain, _, certificate = tls_redis.url.partition("?ssl_ca_certs=")
    settings = {"ssl_ca_certs": certificate, "ssl_cert_reqs": "CERT_REQUIRED"}
    assert works(client("resultstore+" + plain.replace("rediss", "redis"), redis_backend_use_ssl=settings))


def test_results_with_a_password_that_a_provider_gives(tmp_path: Path):
    guarded = PrivateRedis(tmp_path, "--requirepass", "Secr3t")
    guarded.start()
    try:
        provider = redis.UsernamePasswordCredentialProvider(password="Secr3t")
        assert works(client(f"resultstore+{guarded.url}", redis_backend_credential_provider=provider))
        assert works(client(f"resultstore+{guarded.url}", redis_password="Secr3t"))
    finally:
        guarded.stop()


@pytest.fixture
def sentinels(server: PrivateRedis, tmp_path: Path) -> Iterator[list[int]]:
    """The ports of two sentinels that watch the module's Redis."""
    ports, running = [_free_port(), _free_port()], []
    for port in ports:
        file = tmp_path / f"sentinel-{port}.conf"
        file.write_text(f"port {port}\nbind 127.0.0.1\nsentinel monitor shop 127.0.0.1 {server.port} 2\n")
        running.append(subprocess.Popen(["redis-server", str(file), "--sentinel"], stdout=subprocess.DEVNULL))
    for port in ports:
        wait_for_answer(port)
    yield ports
    for one in running:
        one.terminate()
        one.wait(10)


def wait_for_answer(port: int) -> None:
    end = time.monotonic() + 10
    with redis.Redis(port=port) as asked:
        while True:
            try:
                asked.ping()
            except RedisError:
                assert time.monotonic() < end
                time.sleep(0.02)
            else:
                return


def test_results_by_sentinels(sentinels: list[int]):
    hosts = ";".join(f"sentinel://127.0.0.1:{port}/0" for port in [_free_port(), *sentinels])  # the first is away
    assert works(client(f"resultstore+{hosts}", result_backend_transport_options={"master_name": "shop"}))


def test_sentinels_without_a_master_name_are_refused():
    with pytest.raises(Misconfigured, match="master_name"):
        client("resultstore+sentinel://127.0.0.1:26379/0").backend  # noqa: B018 - it is made at first use


@pytest.mark.parametrize(
    "url",
    [
        "redis://h:1/abc",
        "redis://h:1/1a",
        "redis://h:1/1/2",
        "redis://h:1/-1",
        "rediss://h:1/O",
        "redis://h:1/٣",
        "socket:///run/redis.sock?virtual_host=abc",
        "sentinel://h:26379/1/2?master_name=m",
        "redis-cluster://h:1/3",
    ],
)
def test_database_that_is_no_number_is_refused(url: str):
    app = Celery("client", broker="memory://", backend=f"resultstore+{url}", set_as_current=False)
    with pytest.raises(Misconfigured, match="not the URL of a Redis"):
        app.backend  # noqa: B018 - it is made at first use


@pytest.mark.parametrize(("path", "database"), [("", 0), ("/", 0), ("/7", 7), ("/7/", 7), ("/%37", 7)])
def test_database_is_the_number_in_the_path(path: str, database: int):
    app = Celery("client", broker="memory://", backend=f"resultstore+redis://h:1{path}", set_as_current=False)
    assert app.backend.client.connection_pool.connection_kwargs.get("db", 0) == database
