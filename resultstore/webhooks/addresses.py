"""Address guard: restricts outgoing requests to public addresses (SSRF protection)."""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

import httpx
import idna

from resultstore.model.errors import AddressRefused, Misconfigured
from resultstore.settings import Settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

MAX_URL_CHARS: Final = 2_048
_MAX_ADDRESSES: Final = 3
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
# inet_aton(3) accepts one to four numbers as an IPv4 address, also octal and hexadecimal ones.
_NUMBERS: Final = re.compile(r"(0[xX][0-9a-fA-F]*|[0-9]+)(\.(0[xX][0-9a-fA-F]*|[0-9]+)){0,3}\.?\Z")
# RFC 1035, section 2.3.4; underscores are not allowed there, but container networks use them (RFC 8552).
_LABEL: Final = re.compile(r"[0-9a-z_](?:[0-9a-z_-]{0,61}[0-9a-z_])?\Z", re.IGNORECASE)
_NAME_MAX_CHARS: Final = 253
_ALABEL: Final = "xn--"
# Not covered by `is_global` and `is_multicast` (RFC 6890): addresses that embed another one, which a translator or a
# relay would reach, and the deprecated site-local ones.
_TUNNELS: Final = tuple(
    ipaddress.ip_network(one)
    for one in (
        "64:ff9b::/96",  # NAT64 (RFC 6052)
        "64:ff9b:1::/48",  # local-use NAT64 (RFC 8215)
        "2002::/16",  # 6to4 (RFC 3056)
        "2001::/32",  # Teredo (RFC 4380)
        "::/96",  # IPv4-compatible (RFC 4291, section 2.5.5.1), with :: and ::1
        "::ffff:0:0:0/96",  # IPv4-translated (RFC 2765)
        "192.88.99.0/24",  # 6to4 relays (RFC 3068)
        "fec0::/10",  # site-local (RFC 3879)
        "5f00::/16",  # segment routing (RFC 9602)
    )
)


class AddressGuard:
    """Checks URLs that untrusted clients name.

    Args:
        ports: the allowed ports.
        private: the allowed private networks.
    """

    def __init__(self, *, ports: frozenset[int], private: Sequence[Network] = ()) -> None:
        self._ports = ports
        self._private = tuple(private)

    def check_url(self, url: str) -> httpx.URL:
        """Return the parsed URL. Raise AddressRefused if it cannot be public; a host name is not resolved here."""
        if len(url) > MAX_URL_CHARS or not url.isascii() or not url.isprintable() or any(one in url for one in " \\"):
            raise AddressRefused(f"a URL must have at most {MAX_URL_CHARS} printable ASCII characters, without spaces")
        try:
            parsed = httpx.URL(url)
            port = _DEFAULT_PORTS.get(parsed.scheme) if parsed.port is None else parsed.port
            host = parsed.raw_host.decode("ascii")
        except (httpx.InvalidURL, ValueError) as error:
            raise AddressRefused("this is not a URL: write https://host/path") from error
        if parsed.scheme not in _DEFAULT_PORTS or port is None or not host:
            raise AddressRefused("a URL must begin with http:// or https:// and a host")
        if parsed.userinfo:
            raise AddressRefused("a URL must not contain a user or a password")
        self._check_port(port)
        self._check_host(host)
        return parsed

    def check_addresses(self, host: str, found: Sequence[str]) -> list[Address]:
        """Return the addresses of a host. Raise AddressRefused if any of them is not allowed."""
        addresses = [_parsed(one) for one in found]
        if not addresses:
            raise AddressRefused(f"the host {host} has no address")
        if not all(self._is_reachable(one) for one in addresses):
            raise AddressRefused(f"the host {host} is not public: requests to private addresses are not allowed")
        return addresses

    def _check_port(self, port: int) -> None:
        if port not in self._ports:
            allowed = ", ".join(map(str, sorted(self._ports)))
            raise AddressRefused(f"port {port} is not allowed: use {allowed}")

    def _check_host(self, host: str) -> None:
        try:
            self.check_addresses(host, [str(ipaddress.ip_address(host))])
        except ValueError:
            if _NUMBERS.match(host) or "%" in host or ":" in host:
                raise AddressRefused(
                    "the host is an address in an unusual notation: write it in the standard one"
                ) from None
            _check_name(host)

    def _is_reachable(self, address: Address) -> bool:
        if any(address in network for network in self._private if network.version == address.version):
            return True
        if any(address in network for network in _TUNNELS if network.version == address.version):
            return False
        return address.is_global and not address.is_multicast and not address.is_reserved


def _check_name(host: str) -> None:
    """Raise AddressRefused for a name that breaks RFC 1035 (lengths, letters) or IDNA 2008 (A-labels)."""
    name = host.removesuffix(".")
    labels = name.split(".")
    if len(name) > _NAME_MAX_CHARS or not all(_LABEL.match(one) for one in labels):
        raise AddressRefused(
            "the host is not a valid name: use labels of 1 to 63 letters, digits and hyphens, separated by dots"
        )
    try:
        for one in labels:
            if one.lower().startswith(_ALABEL):
                idna.ulabel(one)
    except idna.IDNAError as error:
        raise AddressRefused(
            f"the host is not a valid international name ({error}): write it encoded, as `xn--...`"
        ) from error


class GuardedTransport(httpx.AsyncBaseTransport):
    """Connects to the addresses that were checked, so that DNS rebinding cannot redirect a request.

    A connection serves one request, because the connection pool would reuse it by address for another name.

    Args:
        addresses: checks URLs and addresses.
        resolve: returns the addresses of a host; by default the system's resolver.
    """

    def __init__(self, addresses: AddressGuard, *, resolve: Resolve | None = None) -> None:
        self._addresses = addresses
        self._resolve = resolve or system_addresses
        limits = httpx.Limits(max_keepalive_connections=0)
        authorities = httpx.create_ssl_context()  # includes SSL_CERT_FILE, which `trust_env=False` would ignore
        self._inner = httpx.AsyncHTTPTransport(verify=authorities, trust_env=False, limits=limits, retries=0)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request, with the URL's host name in Host and in TLS. Raises AddressRefused before it connects."""
        url = self._addresses.check_url(str(request.url))
        host = url.raw_host.decode("ascii")
        found = await self._resolve(host, url.port or _DEFAULT_PORTS[url.scheme])
        *others, last = self._addresses.check_addresses(host, found)[:_MAX_ADDRESSES]
        for address in others:
            with suppress(httpx.ConnectError):
                return await self._send(request, url, address)
        return await self._send(request, url, last)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._inner.aclose()

    async def _send(self, request: httpx.Request, url: httpx.URL, address: Address) -> httpx.Response:
        pinned = httpx.Request(
            request.method,
            url.copy_with(host=str(address)),
            headers=request.headers,  # including Host
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": url.raw_host.decode("ascii")},
        )
        return await self._inner.handle_async_request(pinned)


def allowed_addresses(settings: Settings) -> AddressGuard:
    """Return the guard that `settings` configure. Raises Misconfigured, which names the setting."""
    try:
        ports = frozenset(int(one) for one in settings.webhooks.outgoing_ports.split(",") if one.strip())
    except ValueError as error:
        raise Misconfigured("RESULTSTORE_OUTGOING_PORTS must be a comma-separated list of ports, as 80,443") from error
    try:
        private = [
            ipaddress.ip_network(one.strip()) for one in settings.webhooks.outgoing_private.split(",") if one.strip()
        ]
    except ValueError as error:
        raise Misconfigured(
            f"RESULTSTORE_OUTGOING_PRIVATE must be a comma-separated list of networks ({error})"
        ) from error
    return AddressGuard(ports=ports, private=private)


async def system_addresses(host: str, port: int) -> list[str]:
    """Return the addresses from the system's resolver. Raises httpx.ConnectError for an unknown host."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpx.ConnectError(f"the host {host} is unknown") from error
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def _parsed(text: str) -> Address:
    """Return an address; an IPv4-mapped IPv6 address becomes the IPv4 address."""
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
