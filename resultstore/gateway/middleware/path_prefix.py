"""PathPrefix: the path at which a gateway is published, if it is not the root of its host."""

from typing import Final
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from resultstore.settings import Settings

_PREFIX_MAX_CHARS: Final = 256


class PathPrefix:
    """The path of `gateway_url`, else the `root_path` that the server reports (a mount, `--root-path`).

    It is remembered because links are also built outside of requests (event streams, background threads).

    `origin` is scheme, host and port of `gateway_url`; "" without it.

    Args:
        settings: `gateway_url` is the public URL.
    """

    def __init__(self, settings: Settings) -> None:
        public = urlsplit(settings.gateway.url)
        self.origin = f"{public.scheme}://{public.netloc}" if public.netloc else ""
        self._configured = public.path.rstrip("/")
        self.path = self._configured

    def learn(self, scope: Scope) -> None:
        """Remember the `root_path` of a request."""
        root_path = str(scope.get("root_path", "")).rstrip("/")
        if root_path and not self._configured and len(root_path) <= _PREFIX_MAX_CHARS:
            self.path = root_path

    def link(self, path: str) -> str:
        """Return the public path of `path`."""
        return self.path + path


class PathPrefixDetector:
    """ASGI middleware: update a PathPrefix from each request.

    Args:
        app: the next ASGI application.
        prefix: the PathPrefix to update.
    """

    def __init__(self, app: ASGIApp, *, prefix: PathPrefix) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Update the prefix and pass the request on."""
        if scope["type"] == "http":
            self._prefix.learn(scope)
        await self._app(scope, receive, send)


def route_path(scope: Scope) -> str:
    """Return the path of a request without `root_path`, which ASGI puts before it."""
    path, root_path = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    if root_path and path.startswith(root_path + "/"):
        return path[len(root_path) :]
    return path
