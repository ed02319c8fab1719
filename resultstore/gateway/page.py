"""PageRoutes: the gateway's web page: static files under a strict Content-Security-Policy."""

from collections.abc import Mapping
from hashlib import sha256
from html import escape
from http import HTTPStatus
from importlib.resources import files
from typing import Annotated

import msgspec
from fastapi import APIRouter, Header
from fastapi.responses import Response

from resultstore.gateway.problems import Problem
from resultstore.settings.groups import IdentitySettings

_MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_INDEX = "index.html"


class _File(msgspec.Struct, frozen=True):
    content: bytes
    media_type: str
    etag: str


class PageRoutes:
    """`/` and `/page/{name}`.

    Args:
        bytes_origin: the origin of presigned URLs; None without an object store.
        identity: how users of the page sign in.
    """

    def __init__(self, bytes_origin: str | None, identity: IdentitySettings) -> None:
        self._files = _load_files({"sign-in": identity.sign_in_url, "token-origins": identity.token_origins})
        self._headers = {
            "Content-Security-Policy": content_security_policy(bytes_origin),
            "Cache-Control": "no-cache",  # revalidated each time (304), so that a new version is used at once
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        }

    def router(self) -> APIRouter:
        """Return the routes for the page and its files; the OpenAPI description leaves them out."""
        router = APIRouter(include_in_schema=False)
        for path, endpoint in (("/", self.index), ("/page/{name}", self.file)):
            router.add_api_route(path, endpoint, methods=["GET", "HEAD"], response_model=None)
        return router

    async def index(self, if_none_match: Annotated[str, Header()] = "") -> Response:
        """Return the page."""
        return await self.file(_INDEX, if_none_match)

    async def file(self, name: str, if_none_match: Annotated[str, Header()] = "") -> Response:
        """Return one file of the page from memory; the name in a request never becomes a path."""
        found = self._files.get(name)
        if found is None:
            raise Problem(HTTPStatus.NOT_FOUND, "no-such-path", "the page has no file of this name")
        headers = self._headers | {"ETag": found.etag}
        if found.etag in if_none_match:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(found.content, headers=headers, media_type=found.media_type)


def content_security_policy(bytes_origin: str | None) -> str:
    """Return the page's Content-Security-Policy (W3C CSP Level 3, Trusted Types).

    Scripts and styles are loaded only from files of this origin, never inline, and text cannot become markup.
    `blob:` shows a preview of a chosen picture before it is uploaded.
    """
    origin = f" {bytes_origin}" if bytes_origin else ""
    rules: Mapping[str, str] = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": f"'self' blob:{origin}",
        "media-src": f"'self'{origin}",
        "connect-src": f"'self'{origin}",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _load_files(settings: Mapping[str, str]) -> Mapping[str, _File]:
    """Return the files of the page; the page itself has the settings that are not empty, as `meta` elements."""
    metas = "".join(
        f'  <meta name="resultstore-{name}" content="{escape(value)}">\n' for name, value in settings.items() if value
    )
    loaded = {}
    for one in files("resultstore.gateway").joinpath("page").iterdir():
        suffix = one.name.rpartition(".")[2]
        if suffix in _MEDIA_TYPES:
            content = one.read_bytes()
            if one.name == _INDEX:
                content = content.replace(b"</head>", f"{metas}</head>".encode(), 1)
            loaded[one.name] = _File(content, _MEDIA_TYPES[suffix], f'"{sha256(content).hexdigest()[:32]}"')
    return loaded
