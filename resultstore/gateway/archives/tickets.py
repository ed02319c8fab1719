"""ArchiveTickets: keeps for a few minutes what a link to an archive contains, and for whom."""

import hashlib
import secrets
import time
from typing import Final

import msgspec

from resultstore.gateway.identity.caller import Caller
from resultstore.model import layout
from resultstore.store import Store

LIFE_S: Final = 600
_PURPOSE: Final = "archive"
_MAC_BYTES: Final = 32  # hex digits
_NO_MAC: Final = b"-" * _MAC_BYTES


class ArchiveTicket(msgspec.Struct, frozen=True):
    """What a link contains: the caller who asked for it, the ids of the Results, and its end (epoch seconds)."""

    owner: str
    scopes: tuple[str, ...]
    results: tuple[str, ...]
    expires_at: int

    @property
    def caller(self) -> Caller:
        """The caller who asked for the link."""
        return Caller(self.owner, frozenset(self.scopes))


class ArchiveTickets:
    """Tickets in the index of one Store, with a MAC if there is a secret key, so that Redis cannot forge them.

    A browser's download cannot send a token, so the link itself is the permission, as a presigned URL is. The index
    holds a digest of its secret only.
    """

    def __init__(self, store: Store) -> None:
        self._keys = store.index.keys
        self._macs = store.signatures.macs

    def issue(self, caller: Caller, result_ids: list[str]) -> tuple[str, ArchiveTicket]:
        """Keep a new ticket; return its secret, which goes into the link, and the ticket."""
        secret = secrets.token_hex(16)
        expires_at = int(time.time()) + LIFE_S
        ticket = ArchiveTicket(caller.owner, tuple(sorted(caller.scopes)), tuple(result_ids), expires_at)
        document = msgspec.msgpack.encode(ticket)
        self._keys.keep(layout.archive_key(secret), self._mac(secret, document) + document, ttl_s=LIFE_S)
        return secret, ticket

    def find(self, secret: str) -> ArchiveTicket | None:
        """Return the ticket of a link, or None if it is unknown, has expired or is not authentic."""
        kept = self._keys.read(layout.archive_key(secret))
        if kept is None:
            return None
        mac, document = kept[:_MAC_BYTES], kept[_MAC_BYTES:]
        if self._macs and not self._macs.agrees(mac.decode(errors="replace"), _PURPOSE, *_signed(secret, document)):
            return None
        try:
            ticket = msgspec.msgpack.decode(document, type=ArchiveTicket)
        except msgspec.MsgspecError:
            return None
        return ticket if ticket.expires_at > time.time() else None

    def _mac(self, secret: str, document: bytes) -> bytes:
        return self._macs.sign(_PURPOSE, *_signed(secret, document)).encode() if self._macs else _NO_MAC


def _signed(secret: str, document: bytes) -> tuple[str, str]:
    return secret, hashlib.sha256(document).hexdigest()
