"""Address guard: requests of untrusted clients reach public addresses only."""

import asyncio
import ipaddress
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from resultstore.model.errors import AddressRefused, Misconfigured
from resultstore.settings import Settings
from resultstore.webhooks.addresses import AddressGuard, GuardedTransport, allowed_addresses, system_addresses
from tests.index.redis.conftest import self_signed

PUBLIC = AddressGuard(ports=frozenset({80, 443}))

REFUSED_HOSTS = [
    "127.0.0.1",
    "127.1",
    "127.255.255.254",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "017700000001",
    "0",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.127.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "192.88.99.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:10.0.0.1]",
    "[::ffff:169.254.169.254]",
    "[::ffff:0:127.0.0.1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::a00:1]",
    "[64:ff9b:1::a00:1]",
    "[2002:7f00:1::]",
    "[2002:a00:1::1]",
    "[2001:0:7f00:1::1]",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[fec0::1]",
    "[fc00::1]",
    "[fd12:3456::1]",
    "[ff02::1]",
    "[2001:db8::1]",
    "[100::1]",
    "%31%32%37.0.0.1",
    "①②⑦.⓪.⓪.①",
]


@pytest.mark.parametrize("host", REFUSED_HOSTS)
def test_private_addresses_are_refused_in_every_notation(host):
    with pytest.raises(AddressRefused):
        PUBLIC.check_url(f"http://{host}/hook")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "//example.com/",
        "example.com",
        "",
        "http://",
        "http:///path",
        "https://user:secret@example.com/",
        "https://example.com:22/",
        "https://example.com:6379/",
        "https://example.com:99999/",
        "https://example.com/a b",
        "https://example.com/\r\nX: 1",
        "https://exa\tmple.com/",
        "https://example.com\\@127.0.0.1/",
        "https://example.com/" + "x" * 2048,
        "https://exämple.com/",
        "https://example.com:0/",
        "ftp://example.com:80/",
    ],
)
def test_an_invalid_url_is_refused(url):
    with pytest.raises(AddressRefused) as refused:
        PUBLIC.check_url(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hook?a=1",
        "http://example.com",
        "http://93.184.216.34/",
        "https://[2606:2800:220:1::1]/x",
        "https://xn--exmple-cua.com/",
        "https://example.com:443/",
        "https://example.com./",
        "https://EXAMPLE.com/",
        "https://xn--fa-hia.de/",
        "http://my_service/",
        "https://r3---sn-4g5e.example.com/",
        "https://1.example.com/",
        "https://" + "a" * 63 + ".com/",
    ],
)
def test_a_public_url_is_accepted(url):
    assert str(PUBLIC.check_url(url)) == str(httpx.URL(url))


@pytest.mark.parametrize(
    "found", [["127.0.0.1"], ["93.184.216.34", "10.0.0.1"], ["::ffff:127.0.0.1"], ["fe80::1%eth0"], []]
)
def test_one_private_address_refuses_the_name(found):
    with pytest.raises(AddressRefused):
        PUBLIC.check_addresses("example.com", found)


def test_only_the_allowed_private_network_is_reachable():
    allowed = allowed_addresses(Settings(outgoing_private="127.0.0.0/8, fd00::/8", outgoing_ports="80,8080"))
    allowed.check_url("http://127.0.0.1:8080/")
    allowed.check_url("http://[::ffff:127.0.0.1]:8080/")
    allowed.check_url("http://[fd12::1]/")
    for other in ("http://10.0.0.1/", "http://[fc00::1]/", "http://127.0.0.1:443/"):
        with pytest.raises(AddressRefused):
            allowed.check_url(other)


@pytest.mark.parametrize("wrong", [{"outgoing_ports": "http"}, {"outgoing_private": "10.0.0.1/8"}])
def test_an_invalid_setting_is_named(wrong):
    with pytest.raises(Misconfigured, match=next(iter(wrong)).upper()):
        allowed_addresses(Settings(**wrong))


class Site(BaseHTTPRequestHandler):
    """Record each request; /away redirects elsewhere."""

    def do_GET(self):
        self.server.asked.append((self.path, self.headers["Host"]))
        self.send_response(302 if self.path == "/away" else 200)
        self.send_header("Location", "http://169.254.169.254/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def site():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def loopback(port: int) -> AddressGuard:
    return AddressGuard(ports=frozenset({port}), private=[ipaddress.ip_network("127.0.0.1/32")])


def get(transport: GuardedTransport, *urls: str) -> list[httpx.Response]:
    async def asked():
        async with httpx.AsyncClient(transport=transport, timeout=5) as client:
            return [await client.get(url) for url in urls]

    return asyncio.run(asked())


def test_the_request_goes_to_the_checked_address(site):
    answers = iter([["127.0.0.1"], ["127.0.0.2"]])  # a name that means another place the next time
    asked = []

    async def rebinding(host, port):
        asked.append((host, port))
        return next(answers)

    port = site.server_port
    transport = GuardedTransport(loopback(port), resolve=rebinding)

    (answer,) = get(transport, f"http://rebind.test:{port}/a")
    assert answer.status_code == 200
    assert site.asked == [("/a", f"rebind.test:{port}")]
    assert asked == [("rebind.test", port)]
    with pytest.raises(AddressRefused):
        get(transport, f"http://rebind.test:{port}/b")
    assert len(site.asked) == 1


def test_no_redirect_is_followed(site):
    port = site.server_port
    (answer,) = get(GuardedTransport(loopback(port)), f"http://127.0.0.1:{port}/away")
    assert answer.status_code == 302
    assert len(site.asked) == 1


def test_the_next_address_is_tried_after_a_failure(site):
    port = site.server_port

    async def two(host, port):
        return ["127.0.0.3", "127.0.0.1"]

    both = AddressGuard(ports=frozenset({port}), private=[ipaddress.ip_network("127.0.0.0/8")])
    (answer,) = get(GuardedTransport(both, resolve=two), f"http://two.test:{port}/")
    assert answer.status_code == 200


def test_tls_checks_the_name_not_the_address():
    names = []
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def greet():
            connection, _ = listener.accept()
            with connection, pytest.raises(ssl.SSLError):  # it has no certificate: only the greeting counts
                context.wrap_socket(connection, server_side=True)

        thread = threading.Thread(target=greet)
        thread.start()

        async def here(host, port):
            return ["127.0.0.1"]

        with pytest.raises(httpx.ConnectError):
            get(GuardedTransport(loopback(port), resolve=here), f"https://named.test:{port}/")
        thread.join(5)
    assert names == ["named.test"]


def test_ssl_cert_file_is_trusted(site, tmp_path, monkeypatch):
    key, certificate = self_signed(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    site.socket = context.wrap_socket(site.socket, server_side=True)
    url = f"https://127.0.0.1:{site.server_port}/"

    with pytest.raises(httpx.ConnectError):
        get(GuardedTransport(loopback(site.server_port)), url)
    monkeypatch.setenv("SSL_CERT_FILE", certificate)
    (answer,) = get(GuardedTransport(loopback(site.server_port)), url)

    assert answer.status_code == 200


def test_names_of_the_local_host_are_refused():
    found = asyncio.run(system_addresses("localhost", 80))
    assert found
    with pytest.raises(AddressRefused):
        PUBLIC.check_addresses("localhost", found)
    with pytest.raises(AddressRefused):
        get(GuardedTransport(PUBLIC), "http://localhost/")


def test_proxy_variables_are_ignored(site, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    port = site.server_port
    (answer,) = get(GuardedTransport(loopback(port)), f"http://127.0.0.1:{port}/")
    assert answer.status_code == 200
