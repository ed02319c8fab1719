"""Guard: which Host names this gateway answers to, so that a foreign page cannot rebind its name to loopback."""

import functools
import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from resultstore.gateway.problems import problem
from resultstore.settings import Settings

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
# RFC 9112, section 3.2: `uri-host [ ":" port ]`, without what else an authority may hold (a user, before an @).
_HOST: Final = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(?::[0-9]{1,5})?\Z")
_WILDCARDS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104  named here in order to leave them out


def allowed_hosts(settings: Settings) -> frozenset[str]:
    """Loopback, the address it listens on, and the name in its public URL."""
    own = {settings.gateway.host, urlsplit(settings.gateway.url).hostname or ""}
    return LOOPBACK | {name.lower() for name in own - _WILDCARDS}


def page_origins(settings: Settings) -> frozenset[str]:
    """The origins that the gateway's own page can have in a browser, as `Origin` headers write them."""
    own = urlsplit(settings.gateway.url)
    public = {f"{own.scheme}://{own.netloc}".lower()} if own.netloc else set()
    return frozenset(
        public | {f"http://{name}:{settings.gateway.port}" for name in ("127.0.0.1", "localhost", "[::1]")}
    )


class HostGuard:
    """ASGI middleware that answers 421 to a Host that is not among `hosts`, and to none or several of them."""

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str]) -> None:
        self._app = app
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http" and _host_name(scope) not in self._hosts:
            refusal = problem(
                HTTPStatus.MISDIRECTED_REQUEST,
                "host-not-allowed",
                "this gateway does not answer to that Host; set RESULTSTORE_GATEWAY_URL to its public URL",
            )
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _host_name(scope: Scope) -> str:
    """Return the name in the one Host header; "" for none, for several, and for what is no host."""
    named = [value for name, value in scope["headers"] if name == b"host"]
    return _name_in(named[0]) if len(named) == 1 else ""


@functools.lru_cache(maxsize=256)  # nearly all name the same
def _name_in(host: bytes) -> str:
    found = _HOST.match(host)
    return found[1].decode().strip("[]").lower() if found else ""
