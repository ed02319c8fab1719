"""Cursors: where a listing goes on, in a word that only the same caller can use, for the same question."""

import base64
import secrets
from http import HTTPStatus
from typing import Final

import msgspec

from resultstore.gateway.problems import Problem
from resultstore.model.mac import Macs

MAX_CURSOR_CHARS: Final = 4096
_PURPOSE: Final = "cursor"
_MAC_DIGITS: Final = 32


class CursorPosition(msgspec.Struct, frozen=True, array_like=True):
    """Behind which Result a listing goes on: when that was made (epoch seconds), and its id."""

    made_at: float
    id: str


class Cursors:
    """Writes and reads cursors.

    Args:
        secret: signs them, the same in all processes of a gateway; b"" makes them good for this process alone.
    """

    def __init__(self, secret: bytes) -> None:
        self._macs = Macs(secret or secrets.token_bytes(32))

    def written(self, place: CursorPosition, *, owner: str, question: str) -> str:
        """The cursor that leads `owner`, asking the same `question`, to what comes behind `place`."""
        word = base64.urlsafe_b64encode(msgspec.msgpack.encode(place)).decode().rstrip("=")
        return self._macs.sign(_PURPOSE, owner, question, word) + word

    def read(self, cursor: str, *, owner: str, question: str) -> CursorPosition:
        """The place behind which to go on. Raises Problem 422 for a cursor of somebody else, or of another question."""
        mac, word = cursor[:_MAC_DIGITS], cursor[_MAC_DIGITS:]
        good = len(cursor) <= MAX_CURSOR_CHARS and cursor.isascii()
        if not good or not self._macs.agrees(mac, _PURPOSE, owner, question, word):
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", "cursor: not from a listing with these filters"
            )
        return msgspec.msgpack.decode(base64.urlsafe_b64decode(word + "=" * (-len(word) % 4)), type=CursorPosition)
