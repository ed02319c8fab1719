"""Idempotency: a request that is repeated with the same `Idempotency-Key` does its work once."""

import hashlib
import re
from http import HTTPStatus
from typing import Final

import msgspec

from resultstore.gateway.problems import Problem
from resultstore.index.index import Index
from resultstore.model import layout

MAX_KEY_CHARS: Final = 255
IN_FLIGHT_S: Final = 30  # a key whose request has not finished by then is free again: its process crashed
KEPT_S: Final = layout.DAY_S
_ENTRY: Final = re.compile(rb"([0-9a-f]{64}) ([A-Za-z0-9_-]{1,64}) (begun|done)\Z")


class Idempotency:
    """Maps keys to ids. Keys are separate per owner.

    Args:
        index: stores the keys.
    """

    def __init__(self, index: Index) -> None:
        self._index = index

    def begin(self, owner: str, key: str, *, request: object, id: str) -> str:
        """Claim `key` and return its id: `id` itself if this request is the first and must do the work.

        Raises Problem 409 while the first request is in progress, and 422 if the first request was a different one.
        """
        if not key:
            return id
        if len(key) > MAX_KEY_CHARS or not key.isprintable():
            detail = f"Idempotency-Key: use at most {MAX_KEY_CHARS} printable characters"
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", detail)
        index_key, digest = _index_key(owner, key), _digest(request)
        for _ in range(2):
            if self._index.keys.claim(index_key, f"{digest} {id} begun", ttl_s=IN_FLIGHT_S):
                return id
            kept = self._index.keys.read(index_key)
            if (found := _KeptRequest.read(kept)) is not None:
                return found.id_for(digest)
            if kept is not None:  # not written by a gateway
                self._index.keys.drop(index_key)
        raise _in_flight()

    def complete(self, owner: str, key: str, *, request: object, id: str) -> None:
        """Record that the work is done: for a day, the same request is answered with the same id."""
        if key:
            self._index.keys.keep(_index_key(owner, key), f"{_digest(request)} {id} done".encode(), ttl_s=KEPT_S)

    def release(self, owner: str, key: str) -> None:
        """Free the key after a failure, so that the request can be repeated with it."""
        if key:
            self._index.keys.drop(_index_key(owner, key))


class _KeptRequest(msgspec.Struct, frozen=True):
    """The entry of a key: the digest of the first request, its id, and whether its work is done."""

    digest: str
    id: str
    done: bool

    @classmethod
    def read(cls, kept: bytes | None) -> "_KeptRequest | None":
        """Return the entry, or None if there is none or it was not written by a gateway."""
        found = _ENTRY.match(kept or b"")
        return None if found is None else cls(found[1].decode(), found[2].decode(), found[3] == b"done")

    def id_for(self, digest: str) -> str:
        """Return the id for a request with this digest. Raises Problem 409 or 422."""
        if not self.done:
            raise _in_flight()
        if self.digest != digest:
            detail = "this Idempotency-Key was already used for a different request: use a new key"
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "key-reused", detail)
        return self.id


def _in_flight() -> Problem:
    detail = "the first request with this Idempotency-Key is still in progress: retry in a second"
    return Problem(HTTPStatus.CONFLICT, "in-flight", detail, headers={"Retry-After": "1"})


def _index_key(owner: str, key: str) -> str:
    return layout.idempotency_key(owner, hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest())


def _digest(request: object) -> str:
    return hashlib.sha256(msgspec.json.encode(request, order="sorted")).hexdigest()
