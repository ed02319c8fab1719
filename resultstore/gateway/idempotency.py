"""Idempotency: a request that comes twice under one key does its work once."""

import hashlib
import re
from http import HTTPStatus
from typing import Final

import msgspec

from resultstore.gateway.problems import Problem
from resultstore.index.index import Index
from resultstore.model import layout

MAX_KEY_CHARS: Final = 255
IN_FLIGHT_S: Final = 30  # after so long without an end, a key is free again: its first request is dead
KEPT_S: Final = layout.DAY_S
_ENTRY: Final = re.compile(rb"([0-9a-f]{64}) ([A-Za-z0-9_-]{1,64}) (begun|done)\Z")


class Idempotency:
    """Remembers which id a key stands for. A key is its owner's: another's of the same name is another one.

    Args:
        index: stores the keys.
    """

    def __init__(self, index: Index) -> None:
        self._index = index

    def begin(self, owner: str, key: str, *, said: object, id: str) -> str:
        """The id that `key` stands for: `id` itself when this request is the first, and must do the work.

        Raises Problem 409 while the first one is at it, 422 when that one `said` something else.
        """
        if not key:
            return id
        if len(key) > MAX_KEY_CHARS or not key.isprintable():
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", "Idempotency-Key: too long, unprintable")
        place, digest = _place(owner, key), _digest(said)
        for _ in range(2):
            if self._index.keys.claim(place, f"{digest} {id} begun", ttl_s=IN_FLIGHT_S):
                return id
            kept = self._index.keys.read(place)
            if (found := _KeptRequest.read(kept)) is not None:
                return found.answer(digest)
            if kept is not None:  # no gateway wrote that
                self._index.keys.drop(place)
        raise _in_flight()

    def done(self, owner: str, key: str, *, said: object, id: str) -> None:
        """The work is done: for a day the same request is answered with the same id."""
        if key:
            self._index.keys.keep(_place(owner, key), f"{_digest(said)} {id} done".encode(), ttl_s=KEPT_S)

    def failed(self, owner: str, key: str) -> None:
        """Nothing was done: the same key may try again."""
        if key:
            self._index.keys.drop(_place(owner, key))


class _KeptRequest(msgspec.Struct, frozen=True):
    """What is kept of a key: a digest of the first request, the id that it got, and whether its work is done."""

    digest: str
    id: str
    done: bool

    @classmethod
    def read(cls, kept: bytes | None) -> "_KeptRequest | None":
        """Return the entry, or None for nothing, and for what no gateway wrote."""
        found = _ENTRY.match(kept or b"")
        return None if found is None else cls(found[1].decode(), found[2].decode(), found[3] == b"done")

    def answer(self, digest: str) -> str:
        """Return the id for a request of this digest. Raises Problem 409 or 422."""
        if not self.done:
            raise _in_flight()
        if self.digest != digest:
            detail = "this Idempotency-Key came with another request before: use a new one"
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "key-reused", detail)
        return self.id


def _in_flight() -> Problem:
    detail = "the first request with this Idempotency-Key has not ended: ask again"
    return Problem(HTTPStatus.CONFLICT, "in-flight", detail, headers={"Retry-After": "1"})


def _place(owner: str, key: str) -> str:
    return layout.idempotency_key(owner, hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest())


def _digest(said: object) -> str:
    return hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()
