"""Body: a request's body on its way into a BlobStore: streamed, counted, hashed, and refused when not as signed."""

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
KEY_TAKEN = "this key is written already"
IDLE_LIMIT_S = 30.0  # a sender that gives no block for so long is given up


class RequestBody:
    """One signed PUT of a whole blob, or of a part of one."""

    def __init__(self, request: Request, grant: SignedUrlClaims) -> None:
        self._stream = aiter(request.stream())
        self._grant = grant

    async def into(self, blobs: BlobStore) -> str:
        """Store the body, or nothing; its entity tag. Raises Refusal when it is not as signed, or the key is taken."""
        try:
            # A thread of its own for as long as the sender takes: it must not use up those that answer reads.
            return await to_thread.run_sync(self._step(blobs), limiter=CapacityLimiter(1))
        except BadReference as error:  # somebody else wrote the key in the meantime
            raise HttpRefusal(HTTPStatus.PRECONDITION_FAILED, "PreconditionFailed", KEY_TAKEN) from error

    def _step(self, blobs: BlobStore) -> Callable[[], str]:
        grant = self._grant
        if not grant.upload_id:
            size = grant.size_bytes
            return lambda: blobs.put(grant.key, self._checked(), media_type=grant.media_type, size_hint_bytes=size).etag
        if not isinstance(blobs, PartReceiver):
            raise BadReference(f"this store takes no parts of {grant.key}: send it whole")
        return lambda: (
            blobs.put_part(grant.key, upload_id=grant.upload_id, number=grant.number, chunks=self._checked()).etag
        )

    def _checked(self) -> Iterator[bytes]:
        """The blocks; raises before their end is told, so that the store keeps nothing of a wrong body."""
        digest, size_bytes = hashlib.sha256(), 0
        while block := from_thread.run(self._block):
            digest.update(block)
            size_bytes += len(block)
            yield block
        if size_bytes != self._grant.size_bytes:
            raise HttpRefusal(HTTPStatus.BAD_REQUEST, "IncompleteBody", "the body has not the signed length")
        wanted = self._grant.checksum_sha256
        if wanted and wanted != base64.b64encode(digest.digest()).decode():
            raise HttpRefusal(HTTPStatus.BAD_REQUEST, "BadDigest", "the body has not the signed sha256")

    async def _block(self) -> bytes:
        """Up to about BLOCK_BYTES of the body, b"" at its end: fewer crossings between loop and thread."""
        block = bytearray()
        try:
            async with asyncio.timeout(IDLE_LIMIT_S):
                while len(block) < BLOCK_BYTES and (chunk := await _next(self._stream)) is not None:
                    block += chunk
        except TimeoutError as error:
            raise HttpRefusal(HTTPStatus.BAD_REQUEST, "RequestTimeout", "the body does not arrive") from error
        return bytes(block)


async def _next(stream: AsyncIterator[bytes]) -> bytes | None:
    return await anext(stream, None)
