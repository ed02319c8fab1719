"""Desk: gives out the tickets of callers, each within his quotas, and takes them back."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import msgspec

from resultstore.gateway.identity.caller import Caller, missing, visible
from resultstore.gateway.problems import Problem
from resultstore.gateway.quotas import QuotaKind, Quotas
from resultstore.model.errors import BadReference, Damaged, ResultMissing
from resultstore.store import Store
from resultstore.telemetry.logs import Log
from resultstore.uploads.completion import UploadCompleter
from resultstore.uploads.issuing import TicketIssuer, UploadUrls, new_upload_id
from resultstore.uploads.ticket import OPEN_FOR_S, OPEN_STATES, Ticket, UploadSpec, room_life_s
from resultstore.webhooks.hooks import Webhooks

_log = Log(__name__)


class TicketService:
    """What every way to upload has in common.

    Args:
        store: whose uploads.
        completion: ends them.
        issuer: makes the tickets, and signs.
        quotas: what an owner may have.
        webhooks: keeps where word of the end is to be sent.
    """

    def __init__(
        self, store: Store, completion: UploadCompleter, *, issuer: TicketIssuer, quotas: Quotas, webhooks: Webhooks
    ) -> None:
        self._store = store
        self._quotas = quotas
        self._webhooks = webhooks
        self.completion = completion
        self.issuer = issuer

    def checked(self, wanted: UploadSpec, *, webhook_url: str | None) -> UploadSpec:
        """What is asked for as a task takes it. Raises as `TicketIssuer.checked` does, and AddressRefused."""
        checked = self.issuer.checked(wanted)
        if webhook_url is not None:
            self._webhooks.check(webhook_url)
        return checked

    def begin(
        self,
        checked: UploadSpec,
        *,
        owner: str,
        upload_id: str = "",
        webhook_url: str | None = None,
        part_size_bytes: int | None = None,
        untold: bool = False,
    ) -> Ticket:
        """A ticket for what was `checked`, the rest as `Ticket` has it. Raises Problem 429 `quota`."""
        new_id = upload_id or new_upload_id()
        try:
            self._take_places(owner, new_id, size_bytes=checked.size_bytes)
            ticket, _ = self.issuer.begin(
                checked, owner=owner, upload_id=new_id, part_size_bytes=part_size_bytes, untold=untold
            )
            if address := self._webhooks.address_for(checked.task, webhook_url):
                self._webhooks.register(new_id, address, owner)
        except Exception:
            self.withdraw(owner, new_id)
            raise
        return ticket

    def first_links(self, ticket: Ticket) -> UploadUrls:
        """The URLs of a new ticket; one whose URLs cannot be signed is taken back."""
        try:
            return self.issuer.links(ticket)
        except Exception:
            self.withdraw(ticket.owner, ticket.id)
            raise

    def withdraw(self, owner: str, upload_id: str) -> None:
        """Undo `begin`, wherever it has failed, for an upload of which no URL was given to anybody."""
        self._quotas.leave(QuotaKind.TICKETS, owner, upload_id)
        self._quotas.leave_room(owner, upload_id)
        self.issuer.withdraw(upload_id, owner=owner)
        self._webhooks.cancel(upload_id)

    def mine(self, caller: Caller, upload_id: str, *, signed: str = "") -> tuple[Ticket, str]:
        """The ticket and the Result's state, if this caller may see it; else as if there were none.

        Where the index has lost it, it is restored from what its sender kept (`signed`). Raises Problem 429 `quota`.
        """
        try:
            result = visible(self._store, caller, upload_id)
            return self.issuer.ticket(result.id), result.state
        except ResultMissing:
            if not signed:
                raise
        return self._restored(caller, upload_id, signed)

    def _restored(self, caller: Caller, upload_id: str, signed: str) -> tuple[Ticket, str]:
        try:
            ticket = self.issuer.unsigned(upload_id, signed)
        except (BadReference, Damaged):
            missing(upload_id)
        if ticket.owner != caller.owner or self._store.was_deleted(upload_id):
            missing(upload_id)
        known = self._store.load(upload_id)
        if known is not None and known.state not in OPEN_STATES:  # its task was sent
            return msgspec.structs.replace(ticket, closed=True), known.state
        self._take_places(ticket.owner, upload_id, size_bytes=ticket.asked.size_bytes)
        _log.warning("ticket_restored", id=upload_id)
        return ticket, self.issuer.remember(ticket).state

    def _take_places(self, owner: str, upload_id: str, *, size_bytes: int) -> None:
        self._quotas.take(QuotaKind.TICKETS, owner, upload_id, ttl_s=OPEN_FOR_S)
        life_s = room_life_s(self._store.settings)
        self._quotas.take_room(owner, upload_id, size_bytes=size_bytes, ttl_s=life_s)

    def start(self, ticket: Ticket) -> None:
        """Look at what has arrived and send the task, by `UploadCompleter.complete`. Raises Problem 429 `quota`."""
        with self.room(ticket):
            started = self.completion.complete(ticket)
        if started.state not in OPEN_STATES:
            self._quotas.leave(QuotaKind.TICKETS, ticket.owner, ticket.id)

    @contextmanager
    def room(self, ticket: Ticket) -> Iterator[None]:
        """Count its task as running, unless the block fails. Raises Problem 429 `quota`."""
        owner, life_s = ticket.owner, self._store.settings.results.expires_s
        try:
            self._quotas.take(QuotaKind.RUNNING, owner, ticket.id, ttl_s=life_s)
            yield
        except Exception:
            self._quotas.leave(QuotaKind.RUNNING, owner, ticket.id)
            raise

    def abandon(self, ticket: Ticket) -> None:
        """Forget an open upload, with all that arrived. Raises Problem 409 while it is completed."""
        if not self.completion.abandon(ticket):
            detail = "it is being completed at this moment: look at the result of the same id"
            raise Problem(HTTPStatus.CONFLICT, "upload-over", detail)
        self._quotas.leave(QuotaKind.TICKETS, ticket.owner, ticket.id)
        self._webhooks.cancel(ticket.id)
