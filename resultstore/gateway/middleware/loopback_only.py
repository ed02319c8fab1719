"""LoopbackOnly: restricts a gateway in open mode to requests from this machine."""

import functools
import ipaddress
from http import HTTPStatus
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from resultstore.gateway.problems import problem_response

# Headers that reverse proxies add: the client is then not the peer address.
_PROXY_HEADERS: Final = frozenset(
    {
        b"forwarded",
        b"via",
        b"x-real-ip",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-original-forwarded-for",
        b"x-envoy-external-address",
        b"client-ip",
        b"true-client-ip",
        b"cf-connecting-ip",
        b"fastly-client-ip",
        b"x-forwarded",
    }
)
_PROXY_PREFIX: Final = b"x-forwarded-"


class LoopbackOnly:
    """ASGI middleware: answer 403 to any request that does not come from this machine.

    The peer address decides, not the Host header, so it holds under any server and on any address.

    Args:
        app: the application to protect.
        behind_proxy: also answer requests that a proxy on this machine forwards.
    """

    def __init__(self, app: ASGIApp, *, behind_proxy: bool = False) -> None:
        self._app = app
        self._behind_proxy = behind_proxy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a local request on, or refuse it."""
        if scope["type"] == "http" and (detail := self._refusal_reason(scope)):
            await problem_response(HTTPStatus.FORBIDDEN, "local-only", detail)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal_reason(self, scope: Scope) -> str:
        """Return why the request is refused, or "" to accept it."""
        if not _is_local(scope):
            return "RESULTSTORE_AUTH=open serves this machine only: set RESULTSTORE_AUTH to tokens or jwt"
        if not self._behind_proxy and any(_is_proxy_header(name) for name, _ in scope["headers"]):
            return (
                "RESULTSTORE_AUTH=open refuses requests from a proxy: set RESULTSTORE_AUTH to tokens or jwt, or "
                "RESULTSTORE_OPEN_BEHIND_PROXY=true if the proxy itself authenticates its users"
            )
        return ""


def _is_local(scope: Scope) -> bool:
    """Return True for a loopback peer and for a Unix socket.

    A TCP peer that has reset its connection has no address either, so only the server's address identifies a Unix
    socket (ASGI: `[path, None]`).
    """
    client, server = scope.get("client"), scope.get("server")
    if client is None:
        return server is not None and server[1] is None
    return is_loopback(str(client[0]))


@functools.lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Return True for a loopback address and for the name `localhost`."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.lower() == "localhost"
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _is_proxy_header(name: bytes) -> bool:
    return name in _PROXY_HEADERS or name.startswith(_PROXY_PREFIX)
