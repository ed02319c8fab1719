"""LoopbackOnly: middleware that lets a gateway in open mode answer nobody but this machine."""

import functools
import ipaddress
from http import HTTPStatus
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from resultstore.gateway.problems import problem

# What reverse proxies add: the request then comes from someone else than the peer address says.
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
        behind_proxy: answer requests that a proxy on this machine passes on.
    """

    def __init__(self, app: ASGIApp, *, behind_proxy: bool = False) -> None:
        self._app = app
        self._behind_proxy = behind_proxy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a local request on, or refuse it."""
        if scope["type"] == "http" and (detail := self._refused(scope)):
            await problem(HTTPStatus.FORBIDDEN, "local-only", detail)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refused(self, scope: Scope) -> str:
        """Return why the request is refused; "" if it is not."""
        if not _is_local(scope):
            return "RESULTSTORE_AUTH=open answers this machine only: set RESULTSTORE_AUTH to tokens or jwt"
        if not self._behind_proxy and any(_is_of_proxy(name) for name, _ in scope["headers"]):
            return (
                "RESULTSTORE_AUTH=open does not answer what a proxy passes on: set RESULTSTORE_AUTH to tokens or jwt, "
                "or RESULTSTORE_OPEN_BEHIND_PROXY=true where the proxy itself lets nobody else in"
            )
        return ""


def _is_local(scope: Scope) -> bool:
    """Return True for a loopback peer and for a Unix socket.

    A peer that resets its connection at once has no address any more, on TCP too: only the server's own address
    tells the two apart (ASGI: `[path, None]` for a Unix socket).
    """
    client, server = scope.get("client"), scope.get("server")
    if client is None:
        return server is not None and server[1] is None
    return is_loopback(str(client[0]))


@functools.lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Return True for an address of this machine's own loopback; a name is none, `localhost` aside."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.lower() == "localhost"
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _is_of_proxy(name: bytes) -> bool:
    return name in _PROXY_HEADERS or name.startswith(_PROXY_PREFIX)
