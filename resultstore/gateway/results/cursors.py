"""Cursors: signed positions in a listing, valid for the same caller and the same filters only."""

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
    """The last Result of a page: its creation time (epoch seconds) and its id."""

    made_at: float
    id: str


class Cursors:
    """Writes and reads cursors.

    Args:
        secret: signs the cursors, the same in all processes of a gateway; b"" makes them valid in this process only.
    """

    def __init__(self, secret: bytes) -> None:
        self._macs = Macs(secret or secrets.token_bytes(32))

    def encode(self, position: CursorPosition, *, owner: str, filters: str) -> str:
        """Return the cursor with which `owner`, with the same `filters`, gets the page after `position`."""
        encoded = base64.urlsafe_b64encode(msgspec.msgpack.encode(position)).decode().rstrip("=")
        return self._macs.sign(_PURPOSE, owner, filters, encoded) + encoded

    def decode(self, cursor: str, *, owner: str, filters: str) -> CursorPosition:
        """Return the position of a cursor. Raises Problem 422 for the cursor of another owner or of other filters."""
        mac, encoded = cursor[:_MAC_DIGITS], cursor[_MAC_DIGITS:]
        plausible = len(cursor) <= MAX_CURSOR_CHARS and cursor.isascii()
        if not plausible or not self._macs.agrees(mac, _PURPOSE, owner, filters, encoded):
            detail = "cursor: not issued for this listing and these filters"
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", detail)
        document = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        return msgspec.msgpack.decode(document, type=CursorPosition)
