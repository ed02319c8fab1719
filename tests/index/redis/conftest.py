"""Private Redis servers that tests may stop, fill up and measure."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from redis.backoff import NoBackoff
from redis.retry import Retry

from resultstore.index.redis.driver import RedisIndex


class PrivateRedis:
    """A redis-server on its own port, without persistence, that can be stopped and restarted."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = _free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.unix_socket = str(folder / "redis.sock")
        self._command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(folder)]
        self._command += [
            "--save",
            "",
            "--appendonly",
            "no",
            "--logfile",
            "redis.log",
            "--unixsocket",
            str(folder / "redis.sock"),
            *options,
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return when it answers. Do nothing if it runs."""
        if self._process is not None:
            return
        self._process = subprocess.Popen(self._command)
        end = time.monotonic() + 10
        with redis.Redis(port=self.port, retry=Retry(NoBackoff(), 0)) as client:
            while True:
                try:
                    client.ping()
                except redis.AuthenticationError:  # it asks for a password, so it answers
                    return
                except redis.ConnectionError:
                    assert time.monotonic() < end, f"redis-server does not answer on port {self.port}"
                    time.sleep(0.02)
                else:
                    return

    @contextmanager
    def hung(self) -> Iterator[None]:
        """Suspend the server for the length of the block; connections stay open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Stop it, and lose its data."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None


@pytest.fixture(scope="session")
def private_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRedis]:
    """The server that most tests share, because starting one takes longer than most tests."""
    yield from _running(PrivateRedis(tmp_path_factory.mktemp("redis")))


@pytest.fixture
def private_redis(private_server: PrivateRedis) -> PrivateRedis:
    """A running, empty server. A test that stops it need not start it again."""
    private_server.start()
    with redis.Redis(port=private_server.port) as client:
        client.client_kill_filter(_type="pubsub")
        client.config_set("maxmemory", "0")
        client.flushall()
    return private_server


@pytest.fixture
def index(private_redis: PrivateRedis) -> RedisIndex:
    """The driver on that server."""
    return RedisIndex(private_redis.url)


@pytest.fixture
def raw(private_redis: PrivateRedis) -> Iterator[redis.Redis]:
    """A plain client of that server."""
    with redis.Redis(port=private_redis.port) as client:
        yield client


@pytest.fixture
def guarded_redis(tmp_path: Path) -> Iterator[PrivateRedis]:
    """A running server with the password `Secr3t`."""
    yield from _running(PrivateRedis(tmp_path, "--requirepass", "Secr3t"))


@pytest.fixture
def tls_redis(tmp_path: Path) -> Iterator[PrivateRedis]:
    """A running server with TLS and a self-signed certificate."""
    key, certificate = self_signed(tmp_path)
    tls_port = _free_port()
    options = ("--tls-port", str(tls_port), "--tls-key-file", key, "--tls-cert-file", certificate)
    server = PrivateRedis(tmp_path, *options, "--tls-ca-cert-file", certificate, "--tls-auth-clients", "no")
    server.url = f"rediss://127.0.0.1:{tls_port}/0?ssl_ca_certs={certificate}"
    yield from _running(server)


def self_signed(folder: Path) -> tuple[str, str]:
    """The files of a key and a certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "redis of a test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    key_file, certificate_file = folder / "key.pem", folder / "certificate.pem"
    key_file.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    certificate_file.write_bytes(certificate.public_bytes(pem))
    return str(key_file), str(certificate_file)


def _running(server: PrivateRedis) -> Iterator[PrivateRedis]:
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
