"""Addresses: where requests that a stranger names may go, and how they get there and nowhere else."""

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
_TRIED_ADDRESSES: Final = 3
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
# What only looks like a name: inet_aton(3) takes one to four numbers, in octal and hexadecimal too.
_NUMBERS: Final = re.compile(r"(0[xX][0-9a-fA-F]*|[0-9]+)(\.(0[xX][0-9a-fA-F]*|[0-9]+)){0,3}\.?\Z")
# RFC 1035, section 2.3.4; underscores are no host's, and are in many (container networks, RFC 8552).
_LABEL: Final = re.compile(r"[0-9a-z_](?:[0-9a-z_-]{0,61}[0-9a-z_])?\Z", re.IGNORECASE)
_NAME_MAX_CHARS: Final = 253
_ALABEL: Final = "xn--"
# Beyond what `is_global` and `is_multicast` know (RFC 6890): addresses that hold another one, which a translator or a
# relay on the way may reach for us, and the deprecated site-local ones.
_TUNNELS: Final = tuple(
    ipaddress.ip_network(one)
    for one in (
        "64:ff9b::/96",  # NAT64 (RFC 6052)
        "64:ff9b:1::/48",  # NAT64 of a network's own (RFC 8215)
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
    """Which URLs may be asked for on behalf of a stranger.

    Args:
        ports: those that may be asked.
        private: networks that may be reached although they are not public.
    """

    def __init__(self, *, ports: frozenset[int], private: Sequence[Network] = ()) -> None:
        self._ports = ports
        self._private = tuple(private)

    def check_url(self, url: str) -> httpx.URL:
        """`url` itself, where it can be one of a public place; a name is looked up only when it is asked for.

        Raises AddressRefused.
        """
        if len(url) > MAX_URL_CHARS or not url.isascii() or not url.isprintable() or any(one in url for one in " \\"):
            raise AddressRefused(f"a URL has up to {MAX_URL_CHARS} printable ASCII characters, without spaces")
        try:
            parsed = httpx.URL(url)
            port = _DEFAULT_PORTS.get(parsed.scheme) if parsed.port is None else parsed.port
            host = parsed.raw_host.decode("ascii")
        except (httpx.InvalidURL, ValueError) as error:
            raise AddressRefused("this is no URL: write https://host/path") from error
        if parsed.scheme not in _DEFAULT_PORTS or port is None or not host:
            raise AddressRefused("a URL begins with http:// or https:// and a host")
        if parsed.userinfo:
            raise AddressRefused("a URL here has no user and no password")
        self._check_port(port)
        self._check_host(host)
        return parsed

    def check_addresses(self, host: str, found: Sequence[str]) -> list[Address]:
        """The addresses of a host; one that may not be reached condemns them all. Raises AddressRefused."""
        addresses = [_parsed(one) for one in found]
        if not addresses:
            raise AddressRefused(f"the host {host} has no address")
        if not all(self._is_reachable(one) for one in addresses):
            raise AddressRefused(f"the host {host} is not a public one: nothing is sent to private addresses from here")
        return addresses

    def _check_port(self, port: int) -> None:
        if port not in self._ports:
            allowed = ", ".join(map(str, sorted(self._ports)))
            raise AddressRefused(f"nothing is sent to port {port} from here: use {allowed}")

    def _check_host(self, host: str) -> None:
        try:
            self.check_addresses(host, [str(ipaddress.ip_address(host))])
        except ValueError:
            if _NUMBERS.match(host) or "%" in host or ":" in host:
                raise AddressRefused("the host is an address in an unusual form: write it plainly") from None
            _check_name(host)

    def _is_reachable(self, address: Address) -> bool:
        if any(address in network for network in self._private if network.version == address.version):
            return True
        if any(address in network for network in _TUNNELS if network.version == address.version):
            return False
        return address.is_global and not address.is_multicast and not address.is_reserved


def _check_name(host: str) -> None:
    """Raise AddressRefused for a name that no resolver takes: RFC 1035's lengths and letters, IDNA 2008's A-labels."""
    name = host.removesuffix(".")
    labels = name.split(".")
    if len(name) > _NAME_MAX_CHARS or not all(_LABEL.match(one) for one in labels):
        raise AddressRefused("the host is no name: labels of 1 to 63 letters, digits and hyphens, with dots between")
    try:
        for one in labels:
            if one.lower().startswith(_ALABEL):
                idna.ulabel(one)
    except idna.IDNAError as error:
        raise AddressRefused(f"the host is no international name ({error}): write it as `xn--...`, encoded") from error


class GuardedTransport(httpx.AsyncBaseTransport):
    """Connects to the very addresses that were checked, so that a name cannot mean another place a moment later.

    A connection serves one request: a kept one would be found by its address, whatever the name was that it was for.

    Args:
        addresses: what may be reached.
        resolve: gives a host's addresses; by default the system does.
    """

    def __init__(self, addresses: AddressGuard, *, resolve: Resolve | None = None) -> None:
        self._addresses = addresses
        self._resolve = resolve or system_addresses
        limits = httpx.Limits(max_keepalive_connections=0)
        authorities = httpx.create_ssl_context()  # with those of SSL_CERT_FILE, which `trust_env=False` would ignore
        self._inner = httpx.AsyncHTTPTransport(verify=authorities, trust_env=False, limits=limits, retries=0)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Ask, under the URL's own name in Host and in TLS. Raises AddressRefused before anything is sent."""
        url = self._addresses.check_url(str(request.url))
        host = url.raw_host.decode("ascii")
        found = await self._resolve(host, url.port or _DEFAULT_PORTS[url.scheme])
        *others, last = self._addresses.check_addresses(host, found)[:_TRIED_ADDRESSES]
        for address in others:
            with suppress(httpx.ConnectError):
                return await self._ask(request, url, address)
        return await self._ask(request, url, last)

    async def aclose(self) -> None:
        """Close what is open."""
        await self._inner.aclose()

    async def _ask(self, request: httpx.Request, url: httpx.URL, address: Address) -> httpx.Response:
        pinned = httpx.Request(
            request.method,
            url.copy_with(host=str(address)),
            headers=request.headers,  # Host among them
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": url.raw_host.decode("ascii")},
        )
        return await self._inner.handle_async_request(pinned)


def allowed_addresses(settings: Settings) -> AddressGuard:
    """What `settings` allow. Raises Misconfigured, naming the setting."""
    try:
        ports = frozenset(int(one) for one in settings.webhooks.outgoing_ports.split(",") if one.strip())
    except ValueError as error:
        raise Misconfigured("RESULTSTORE_OUTGOING_PORTS is a list of ports by commas: 80,443") from error
    try:
        private = [
            ipaddress.ip_network(one.strip()) for one in settings.webhooks.outgoing_private.split(",") if one.strip()
        ]
    except ValueError as error:
        raise Misconfigured(f"RESULTSTORE_OUTGOING_PRIVATE is a list of networks by commas ({error})") from error
    return AddressGuard(ports=ports, private=private)


async def system_addresses(host: str, port: int) -> list[str]:
    """What the system's resolver says. Raises httpx.ConnectError when it knows no such host."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpx.ConnectError(f"the host {host} is not known") from error
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def _parsed(text: str) -> Address:
    """An address; one of IPv4 in the dress of IPv6 is the one of IPv4."""
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
