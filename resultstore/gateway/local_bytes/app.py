"""`create_bytes_app`: serves the signed URLs of a local store from an origin that no page shares."""

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
from resultstore.gateway.local_bytes.errors import HttpRefusal, refusal_of, refusal_response
from resultstore.gateway.local_bytes.ranges import ByteRange, Unsatisfiable, Whole, matches_etag, parse_range
from resultstore.gateway.middleware.access_log import AccessLog, Observe
from resultstore.model.errors import BadReference, BlobMissing, ResultStoreError

# The bytes derive from untrusted input: a browser must not guess a type, run them, or leak their URL.
SAFE_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    # The page has another origin; a signed URL is itself the permission to read.
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-store",
}
_READS = frozenset({"GET", "HEAD"})
_ALLOWED_HEADERS = ("content-type", "if-none-match", "if-match", "range", "x-amz-checksum-sha256")
_PREFLIGHT_LIFE_S = 600


def create_bytes_app(
    blobs: BlobStore, signer: LocalSigner, *, origins: Collection[str] = (), observe: Observe | None = None
) -> ASGIApp:
    """Return the ASGI application for GET, HEAD (with Range) and PUT of the URLs that `signer` made.

    Args:
        blobs: the store.
        signer: checks the URLs.
        origins: the pages (`scheme://host[:port]`) whose scripts may read the responses: the gateway's own.
        observe: called for each request, as in `AccessLog`.
    """
    with_cors = CORSMiddleware(
        _BytesApp(blobs, signer),
        allow_origins=list(origins),
        allow_methods=("GET", "HEAD", "PUT"),
        allow_headers=_ALLOWED_HEADERS,
        expose_headers=("ETag", "Content-Range", "Content-Length"),
        max_age=_PREFLIGHT_LIFE_S,
    )
    return AccessLog(with_cors, listener="bytes", observe=observe)


PDF_POLICY = "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'"


class _BytesApp:
    def __init__(self, blobs: BlobStore, signer: LocalSigner) -> None:
        self._blobs = blobs
        self._signer = signer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, always with `SAFE_HEADERS`."""
        if scope["type"] != "http":
            return
        response = await self._answer(Request(scope, receive))
        response.headers.update({name: value for name, value in SAFE_HEADERS.items() if name not in response.headers})
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        try:
            return await self._dispatch(request)
        except HttpRefusal as refusal:
            return refusal_response(refusal)
        except ResultStoreError as error:
            return refusal_response(refusal_of(error))
        except ClientDisconnect:  # the client will not read the response; nothing of the body was stored
            return Response(status_code=HTTPStatus.BAD_REQUEST)

    async def _dispatch(self, request: Request) -> Response:
        if request.method in _READS:
            return await self._read(request, self._check_read(request))
        if request.method != "PUT":
            raise HttpRefusal(HTTPStatus.METHOD_NOT_ALLOWED, "MethodNotAllowed", "use GET, HEAD or PUT")
        if "content-length" not in request.headers:
            raise HttpRefusal(HTTPStatus.LENGTH_REQUIRED, "MissingContentLength", "send Content-Length")
        return await self._write(request, self._check_url(request, "PUT"))

    def _check_read(self, request: Request) -> SignedUrlClaims:
        """Return what a read may do: a HEAD is allowed by a URL for GET, and by one for HEAD."""
        try:
            return self._check_url(request, "GET")
        except BadReference:
            if request.method != "HEAD":
                raise
            return self._check_url(request, "HEAD")

    def _check_url(self, request: Request, method: str) -> SignedUrlClaims:
        path = request.scope.get("raw_path", b"").decode("latin-1")
        query = request.scope["query_string"].decode("latin-1")
        return self._signer.check(method, path, query, request.headers)

    async def _read(self, request: Request, claims: SignedUrlClaims) -> Response:
        stored = await to_thread.run_sync(self._blobs.stat, claims.key)
        headers = _ReadHeaders(stored, claims)
        if (if_match := request.headers.get("if-match")) and not matches_etag(if_match, etag=stored.etag):
            raise HttpRefusal(HTTPStatus.PRECONDITION_FAILED, "PreconditionFailed", "the blob has another ETag")
        if (if_none_match := request.headers.get("if-none-match")) and matches_etag(if_none_match, etag=stored.etag):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": headers.headers["ETag"]})
        byte_range = parse_range(_usable_range(request, stored), size_bytes=stored.size_bytes)
        if isinstance(byte_range, Unsatisfiable):
            raise HttpRefusal(
                HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                "InvalidRange",
                "the range starts after the end of the blob",
                headers={"Content-Range": f"bytes */{stored.size_bytes}"},
            )
        if request.method == "HEAD":
            return Response(status_code=headers.status(byte_range), headers=headers.of(byte_range))
        chunks = await to_thread.run_sync(self._chunks, claims.key, byte_range)
        return StreamingResponse(chunks, status_code=headers.status(byte_range), headers=headers.of(byte_range))

    def _chunks(self, key: str, byte_range: Whole | ByteRange) -> Iterator[bytes]:
        if isinstance(byte_range, ByteRange):
            return self._blobs.get(key, start=byte_range.start, size_bytes=byte_range.size_bytes)
        return self._blobs.get(key)

    async def _write(self, request: Request, claims: SignedUrlClaims) -> Response:
        if await to_thread.run_sync(self._exists, claims.key):
            raise HttpRefusal(HTTPStatus.PRECONDITION_FAILED, "PreconditionFailed", KEY_TAKEN)
        etag = await RequestBody(request, claims).write_to(self._blobs)
        return Response(status_code=HTTPStatus.OK, headers={"ETag": f'"{etag}"'})

    def _exists(self, key: str) -> bool:
        try:
            self._blobs.stat(key)
        except BlobMissing:
            return False
        return True


class _ReadHeaders:
    """Status and headers of a read; media type and file name come only from the signed URL."""

    def __init__(self, stored: Stored, claims: SignedUrlClaims) -> None:
        self._size_bytes = stored.size_bytes
        self.headers = {
            "ETag": f'"{stored.etag}"',
            "Accept-Ranges": "bytes",
            "Content-Type": claims.media_type or "application/octet-stream",
            "Content-Disposition": claims.disposition or "attachment",
            # As long as the URL is valid, which is never longer than the Artifact's lifetime.
            "Cache-Control": f"private, max-age={max(0, int(claims.expires_at - time.time()))}",
        }
        if claims.media_type == "application/pdf" and (claims.disposition or "").startswith("inline"):
            # In a sandbox, browsers do not start their PDF viewer, which is one itself.
            self.headers["Content-Security-Policy"] = PDF_POLICY

    def status(self, byte_range: Whole | ByteRange) -> int:
        return int(HTTPStatus.PARTIAL_CONTENT if isinstance(byte_range, ByteRange) else HTTPStatus.OK)

    def of(self, byte_range: Whole | ByteRange) -> dict[str, str]:
        if isinstance(byte_range, Whole):
            return self.headers | {"Content-Length": str(self._size_bytes)}
        last = byte_range.start + byte_range.size_bytes - 1
        span = {"Content-Range": f"bytes {byte_range.start}-{last}/{self._size_bytes}"}
        return self.headers | span | {"Content-Length": str(byte_range.size_bytes)}


def _usable_range(request: Request, stored: Stored) -> str | None:
    """Return the Range header, or None if If-Range names another version: then the whole blob is sent."""
    condition = request.headers.get("if-range")
    if condition is not None and not matches_etag(condition, etag=stored.etag):
        return None
    return request.headers.get("range")
