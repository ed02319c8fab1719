"""BytesApp: serves the signed URLs of a local store, on a listener of its own so that no page shares its origin."""

import time
from collections.abc import Collection, Iterator, Mapping
from http import HTTPStatus

from anyio import to_thread
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from resultstore.blobs.blobstore import BlobStore, Stored
from resultstore.blobs.local.signer import LocalSigner, SignedUrlClaims
from resultstore.gateway.local_bytes.body import KEY_TAKEN, RequestBody
from resultstore.gateway.local_bytes.errors import HttpRefusal, refusal_of, refused
from resultstore.gateway.local_bytes.ranges import ByteRange, Unsatisfiable, Whole, asked_range, same_tag
from resultstore.gateway.middleware.access_log import AccessLog, Observe
from resultstore.model.errors import BlobMissing, ResultStoreError

# What lies here was made from strangers' input: a browser shall neither guess a type, nor run it, nor leak its URL.
SAFE_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    # Pages live on another site than bytes do; who can name a URL has been given it.
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-store",
}
_READS = frozenset({"GET", "HEAD"})
_ASKED_HEADERS = ("content-type", "if-none-match", "if-match", "range", "x-amz-checksum-sha256")
_PREFLIGHT_LIFE_S = 600


def create_bytes_app(
    blobs: BlobStore, signer: LocalSigner, *, origins: Collection[str] = (), observe: Observe | None = None
) -> ASGIApp:
    """GET, HEAD (with Range) and PUT of what a URL of `signer` names, and nothing else.

    Args:
        blobs: what is served.
        signer: checks the URLs.
        origins: the pages (`scheme://host[:port]`) whose scripts may read the answers: the gateway's own.
        observe: told of each request, as `AccessLog` takes it.
    """
    shared = CORSMiddleware(
        _BytesApp(blobs, signer),
        allow_origins=list(origins),
        allow_methods=("GET", "HEAD", "PUT"),
        allow_headers=_ASKED_HEADERS,
        expose_headers=("ETag", "Content-Range", "Content-Length"),
        max_age=_PREFLIGHT_LIFE_S,
    )
    return AccessLog(shared, listener="bytes", observe=observe)


class _BytesApp:
    def __init__(self, blobs: BlobStore, signer: LocalSigner) -> None:
        self._blobs = blobs
        self._signer = signer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, always with the headers that keep its bytes harmless."""
        if scope["type"] != "http":
            return
        response = await self._answer(Request(scope, receive))
        response.headers.update({name: value for name, value in SAFE_HEADERS.items() if name not in response.headers})
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        try:
            return await self._allowed(request)
        except HttpRefusal as refusal:
            return refused(refusal)
        except ResultStoreError as error:
            return refused(refusal_of(error))
        except ClientDisconnect:  # nobody is there to read the answer; nothing of the body was kept
            return Response(status_code=HTTPStatus.BAD_REQUEST)

    async def _allowed(self, request: Request) -> Response:
        if request.method in _READS:
            return await self._read(request, self._grant(request, "GET"))
        if request.method != "PUT":
            raise HttpRefusal(HTTPStatus.METHOD_NOT_ALLOWED, "MethodNotAllowed", "use GET, HEAD or PUT")
        if "content-length" not in request.headers:
            raise HttpRefusal(HTTPStatus.LENGTH_REQUIRED, "MissingContentLength", "send Content-Length")
        return await self._write(request, self._grant(request, "PUT"))

    def _grant(self, request: Request, method: str) -> SignedUrlClaims:
        path = request.scope.get("raw_path", b"").decode("latin-1")
        query = request.scope["query_string"].decode("latin-1")
        return self._signer.check(method, path, query, request.headers)

    async def _read(self, request: Request, grant: SignedUrlClaims) -> Response:
        stored = await to_thread.run_sync(self._blobs.stat, grant.key)
        answer = _ReadHeaders(stored, grant)
        if (wanted := request.headers.get("if-match")) and not same_tag(wanted, etag=stored.etag):
            raise HttpRefusal(HTTPStatus.PRECONDITION_FAILED, "PreconditionFailed", "the blob has another entity tag")
        if (known := request.headers.get("if-none-match")) and same_tag(known, etag=stored.etag):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": answer.headers["ETag"]})
        asked = asked_range(_usable_range(request, stored), size_bytes=stored.size_bytes)
        if isinstance(asked, Unsatisfiable):
            headers = {"Content-Range": f"bytes */{stored.size_bytes}"}
            raise HttpRefusal(
                HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "InvalidRange", "the blob ends before that", headers=headers
            )
        if request.method == "HEAD":
            return Response(status_code=answer.status(asked), headers=answer.of(asked))
        chunks = await to_thread.run_sync(self._chunks, grant.key, asked)
        return StreamingResponse(chunks, status_code=answer.status(asked), headers=answer.of(asked))

    def _chunks(self, key: str, asked: Whole | ByteRange) -> Iterator[bytes]:
        if isinstance(asked, ByteRange):
            return self._blobs.get(key, start=asked.start, size_bytes=asked.size_bytes)
        return self._blobs.get(key)

    async def _write(self, request: Request, grant: SignedUrlClaims) -> Response:
        if await to_thread.run_sync(self._stands, grant.key):
            raise HttpRefusal(HTTPStatus.PRECONDITION_FAILED, "PreconditionFailed", KEY_TAKEN)
        etag = await RequestBody(request, grant).into(self._blobs)
        return Response(status_code=HTTPStatus.OK, headers={"ETag": f'"{etag}"'})

    def _stands(self, key: str) -> bool:
        try:
            self._blobs.stat(key)
        except BlobMissing:
            return False
        return True


class _ReadHeaders:
    """Status and headers of a read; type and name come from the signed grant alone."""

    def __init__(self, stored: Stored, grant: SignedUrlClaims) -> None:
        self._size_bytes = stored.size_bytes
        self.headers = {
            "ETag": f'"{stored.etag}"',
            "Accept-Ranges": "bytes",
            "Content-Type": grant.media_type or "application/octet-stream",
            "Content-Disposition": grant.disposition or "attachment",
            # For as long as the URL works, which is never longer than the Artifact may be read.
            "Cache-Control": f"private, max-age={max(0, int(grant.expires_at - time.time()))}",
        }

    def status(self, asked: Whole | ByteRange) -> int:
        return int(HTTPStatus.PARTIAL_CONTENT if isinstance(asked, ByteRange) else HTTPStatus.OK)

    def of(self, asked: Whole | ByteRange) -> dict[str, str]:
        if isinstance(asked, Whole):
            return self.headers | {"Content-Length": str(self._size_bytes)}
        last = asked.start + asked.size_bytes - 1
        span = {"Content-Range": f"bytes {asked.start}-{last}/{self._size_bytes}"}
        return self.headers | span | {"Content-Length": str(asked.size_bytes)}


def _usable_range(request: Request, stored: Stored) -> str | None:
    """The Range header, unless If-Range names another state of the blob: then the whole is sent."""
    condition = request.headers.get("if-range")
    if condition is not None and not same_tag(condition, etag=stored.etag):
        return None
    return request.headers.get("range")
