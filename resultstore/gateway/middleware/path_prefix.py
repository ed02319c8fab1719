"""Prefix: the path below which a gateway is reached, where it is not the root of its host."""

from typing import Final
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from resultstore.settings import Settings

_PREFIX_MAX_CHARS: Final = 256


class PathPrefix:
    """The path of `gateway_url`; without one, the `root_path` that the server reports (a mount, `--root-path`).

    Links are made in threads and for streams too, where no request is: so it is kept.

    Args:
        settings: `gateway_url` names the public URL.
    """

    def __init__(self, settings: Settings) -> None:
        self._configured = urlsplit(settings.gateway.url).path.rstrip("/")
        self.path = self._configured

    def learn(self, scope: Scope) -> None:
        """Note what the server says of a request."""
        root_path = str(scope.get("root_path", "")).rstrip("/")
        if root_path and not self._configured and len(root_path) <= _PREFIX_MAX_CHARS:
            self.path = root_path

    def link(self, path: str) -> str:
        """Return `path` of this gateway as a browser asks for it."""
        return self.path + path


class PathPrefixDetector:
    """ASGI middleware: keeps a Prefix up to date.

    Args:
        app: the application.
        prefix: what is kept.
    """

    def __init__(self, app: ASGIApp, *, prefix: PathPrefix) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] == "http":
            self._prefix.learn(scope)
        await self._app(scope, receive, send)


def route_path(scope: Scope) -> str:
    """Return the path of a request below the application: ASGI puts `root_path` before it."""
    path, root_path = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    if root_path and path.startswith(root_path + "/"):
        return path[len(root_path) :]
    return path
