"""HostGuard: accepts known Host headers only, against DNS rebinding."""

import functools
import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from resultstore.gateway.problems import problem_response
from resultstore.settings import Settings

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
# RFC 9112, section 3.2: `uri-host [ ":" port ]`; unlike a URL's authority, without a user.
_HOST: Final = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(?::[0-9]{1,5})?\Z")
_WILDCARDS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104  listed to be excluded


def allowed_hosts(settings: Settings) -> frozenset[str]:
    """Return the accepted host names: loopback, the address that the gateway listens on, and its public URL's host."""
    own = {settings.gateway.host, urlsplit(settings.gateway.url).hostname or ""}
    return LOOPBACK | {name.lower() for name in own - _WILDCARDS}


def page_origins(settings: Settings) -> frozenset[str]:
    """Return the origins that the gateway's page can have in a browser, as in `Origin` headers."""
    own = urlsplit(settings.gateway.url)
    public = {f"{own.scheme}://{own.netloc}".lower()} if own.netloc else set()
    return frozenset(
        public | {f"http://{name}:{settings.gateway.port}" for name in ("127.0.0.1", "localhost", "[::1]")}
    )


class HostGuard:
    """ASGI middleware: answer 421 to a request whose Host is not in `hosts`, is missing, or is sent twice."""

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str]) -> None:
        self._app = app
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http" and _host_name(scope) not in self._hosts:
            refusal = problem_response(
                HTTPStatus.MISDIRECTED_REQUEST,
                "host-not-allowed",
                "this Host header is not accepted; the operator sets RESULTSTORE_GATEWAY_URL to the public URL",
            )
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _host_name(scope: Scope) -> str:
    """Return the name in the Host header; "" if there is no header, several, or an invalid one."""
    values = [value for name, value in scope["headers"] if name == b"host"]
    return _parse_host(values[0]) if len(values) == 1 else ""


@functools.lru_cache(maxsize=256)  # nearly all requests have the same Host
def _parse_host(host: bytes) -> str:
    found = _HOST.match(host)
    return found[1].decode().strip("[]").lower() if found else ""
