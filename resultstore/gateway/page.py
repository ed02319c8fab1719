"""Page: the gateway's own web page: plain files, under a policy that lets in nothing but them and the bytes."""

from collections.abc import Mapping
from hashlib import sha256
from http import HTTPStatus
from importlib.resources import files
from typing import Annotated

import msgspec
from fastapi import APIRouter, Header
from fastapi.responses import Response

from resultstore.gateway.problems import Problem

_MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_ENTRANCE = "index.html"


class _File(msgspec.Struct, frozen=True):
    content: bytes
    media_type: str
    etag: str


class PageRoutes:
    """`/` and `/page/{name}`. `bytes_origin` is where bytes come from; None without an object store."""

    def __init__(self, bytes_origin: str | None) -> None:
        self._files = _loaded()
        self._headers = {
            "Content-Security-Policy": policy(bytes_origin),
            "Cache-Control": "no-cache",  # asked for each time, answered 304: a new version is seen at once
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        }

    def router(self) -> APIRouter:
        """GET and HEAD of the page and of each of its files; not part of the API's description."""
        router = APIRouter(include_in_schema=False)
        for path, endpoint in (("/", self.entrance), ("/page/{name}", self.file)):
            router.add_api_route(path, endpoint, methods=["GET", "HEAD"], response_model=None)
        return router

    async def entrance(self, if_none_match: Annotated[str, Header()] = "") -> Response:
        """The page itself."""
        return await self.file(_ENTRANCE, if_none_match)

    async def file(self, name: str, if_none_match: Annotated[str, Header()] = "") -> Response:
        """One file of it, from memory: no name of a request ever becomes a path."""
        found = self._files.get(name)
        if found is None:
            raise Problem(HTTPStatus.NOT_FOUND, "no-such-path", "the page has no such file")
        headers = self._headers | {"ETag": found.etag}
        if found.etag in if_none_match:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(found.content, headers=headers, media_type=found.media_type)


def policy(bytes_origin: str | None) -> str:
    """The page's Content-Security-Policy (W3C CSP Level 3, Trusted Types).

    Scripts and styles come from this origin's files alone, none stands in the markup, and no text can become markup.
    `blob:` shows a picture that people have chosen, before it is sent.
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


def _loaded() -> Mapping[str, _File]:
    made = {}
    for one in files("resultstore.gateway").joinpath("page").iterdir():
        suffix = one.name.rpartition(".")[2]
        if suffix in _MEDIA_TYPES:
            content = one.read_bytes()
            made[one.name] = _File(content, _MEDIA_TYPES[suffix], f'"{sha256(content).hexdigest()[:32]}"')
    return made
