"""RequestBody: streams a signed PUT write_to a BlobStore and refuses a body that differs from what was signed."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from http import HTTPStatus

from anyio import CapacityLimiter, from_thread, to_thread
from starlette.requests import Request

from resultstore.blobs.blobstore import BlobStore, PartReceiver
from resultstore.blobs.local.signer import SignedUrlClaims
from resultstore.gateway.local_bytes.errors import HttpRefusal
from resultstore.model.errors import BadReference

BLOCK_BYTES = 1024 * 1024
KEY_TAKEN = "a blob with this key already exists"
IDLE_LIMIT_S = 30.0  # the longest pause between two blocks of a body


class RequestBody:
    """The body of one signed PUT, of a whole blob or of one part."""

    def __init__(self, request: Request, claims: SignedUrlClaims) -> None:
        self._stream = aiter(request.stream())
        self._claims = claims

    async def write_to(self, blobs: BlobStore) -> str:
        """Store the body and return its ETag. Raises HttpRefusal, storing nothing, if it differs or the key exists."""
        try:
            # A separate thread for each upload: slow clients must not use up the threads that serve reads.
            return await to_thread.run_sync(self._write_step(blobs), limiter=CapacityLimiter(1))
        except BadReference as error:  # another request has written the key
            raise HttpRefusal(HTTPStatus.PRECONDITION_FAILED, "PreconditionFailed", KEY_TAKEN) from error

    def _write_step(self, blobs: BlobStore) -> Callable[[], str]:
        claims = self._claims
        if not claims.upload_id:
            size, media_type = claims.size_bytes, claims.media_type
            return lambda: blobs.put(claims.key, self._blocks(), media_type=media_type, size_hint_bytes=size).etag
        if not isinstance(blobs, PartReceiver):
            raise BadReference(f"this store does not accept parts: send {claims.key} in one PUT")
        return lambda: (
            blobs.put_part(claims.key, upload_id=claims.upload_id, number=claims.number, chunks=self._blocks()).etag
        )

    def _blocks(self) -> Iterator[bytes]:
        """Yield the blocks; raise before the end of a wrong body, so that the store keeps nothing of it."""
        digest, size_bytes = hashlib.sha256(), 0
        while block := from_thread.run(self._block):
            digest.update(block)
            size_bytes += len(block)
            yield block
        if size_bytes != self._claims.size_bytes:
            raise HttpRefusal(HTTPStatus.BAD_REQUEST, "IncompleteBody", "the body does not have the signed length")
        checksum = self._claims.checksum_sha256
        if checksum and checksum != base64.b64encode(digest.digest()).decode():
            raise HttpRefusal(HTTPStatus.BAD_REQUEST, "BadDigest", "the body does not have the signed sha256")

    async def _block(self) -> bytes:
        """Return about BLOCK_BYTES of the body, b"" at its end; large blocks mean fewer thread switches."""
        block = bytearray()
        try:
            async with asyncio.timeout(IDLE_LIMIT_S):
                while len(block) < BLOCK_BYTES and (chunk := await _next(self._stream)) is not None:
                    block += chunk
        except TimeoutError as error:
            raise HttpRefusal(HTTPStatus.BAD_REQUEST, "RequestTimeout", "the body did not arrive in time") from error
        return bytes(block)


async def _next(stream: AsyncIterator[bytes]) -> bytes | None:
    return await anext(stream, None)
