"""TicketService: issues, finds, completes and withdraws upload tickets within the quotas of their owners."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import msgspec

from resultstore.gateway.identity.caller import Caller, load_visible, raise_missing
from resultstore.gateway.problems import Problem
from resultstore.gateway.quotas import QuotaKind, Quotas
from resultstore.model.errors import BadReference, Damaged, ResultMissing
from resultstore.store import Store
from resultstore.telemetry.logs import Log
from resultstore.uploads.completion import UploadCompleter
from resultstore.uploads.issuing import TicketIssuer, UploadUrls, new_upload_id
from resultstore.uploads.ticket import OPEN_FOR_S, OPEN_STATES, Ticket, UploadSpec, quota_life_s
from resultstore.webhooks.hooks import Webhooks

_log = Log(__name__)


class TicketService:
    """The operations that all upload protocols share.

    Args:
        store: holds the uploads.
        completion: completes uploads.
        issuer: issues tickets and signs their URLs.
        quotas: the limits per owner.
        webhooks: registers webhooks.
    """

    def __init__(
        self, store: Store, completion: UploadCompleter, *, issuer: TicketIssuer, quotas: Quotas, webhooks: Webhooks
    ) -> None:
        self._store = store
        self._quotas = quotas
        self._webhooks = webhooks
        self.completion = completion
        self.issuer = issuer

    def check(self, wanted: UploadSpec, *, webhook_url: str | None) -> UploadSpec:
        """Return the upload with checked options. Raises as `TicketIssuer.validate` does, and AddressRefused."""
        checked = self.issuer.validate(wanted)
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
        client_may_not_confirm: bool = False,
    ) -> Ticket:
        """Issue a ticket for a `checked` upload; the other arguments are as in `Ticket`. Raises Problem 429 `quota`."""
        new_id = upload_id or new_upload_id()
        try:
            self._take_quotas(owner, new_id, size_bytes=checked.size_bytes)
            ticket, _ = self.issuer.begin(
                checked,
                owner=owner,
                upload_id=new_id,
                part_size_bytes=part_size_bytes,
                client_may_not_confirm=client_may_not_confirm,
            )
            if address := self._webhooks.address_for(checked.task, webhook_url):
                self._webhooks.register(new_id, address, owner)
        except Exception:
            self.withdraw(owner, new_id)
            raise
        return ticket

    def first_links(self, ticket: Ticket) -> UploadUrls:
        """Return the URLs of a new ticket; withdraw the ticket if they cannot be signed."""
        try:
            return self.issuer.sign_urls(ticket)
        except Exception:
            self.withdraw(ticket.owner, ticket.id)
            raise

    def withdraw(self, owner: str, upload_id: str) -> None:
        """Undo `begin`, also a partial one, for an upload whose URLs were not handed out."""
        self._quotas.leave(QuotaKind.TICKETS, owner, upload_id)
        self._quotas.release_bytes(owner, upload_id)
        self.issuer.withdraw(upload_id, owner=owner)
        self._webhooks.cancel(upload_id)

    def find_own(self, caller: Caller, upload_id: str, *, signed: str = "") -> tuple[Ticket, str]:
        """Return the caller's ticket and the state of its Result. Raises ResultMissing for other owners' tickets.

        A ticket that the index has lost is restored from the client's signed copy. Raises Problem 429 `quota`.
        """
        try:
            result = load_visible(self._store, caller, upload_id)
            return self.issuer.load(result.id), result.state
        except ResultMissing:
            if not signed:
                raise
        return self._restore(caller, upload_id, signed)

    def _restore(self, caller: Caller, upload_id: str, signed: str) -> tuple[Ticket, str]:
        try:
            ticket = self.issuer.read_signed(upload_id, signed)
        except (BadReference, Damaged):
            raise_missing(upload_id)
        if ticket.owner != caller.owner or self._store.was_deleted(upload_id):
            raise_missing(upload_id)
        known = self._store.load(upload_id)
        if known is not None and known.state not in OPEN_STATES:  # its task was started
            return msgspec.structs.replace(ticket, closed=True), known.state
        self._take_quotas(ticket.owner, upload_id, size_bytes=ticket.asked.size_bytes)
        _log.warning("ticket_restored", id=upload_id)
        return ticket, self.issuer.save(ticket).state

    def _take_quotas(self, owner: str, upload_id: str, *, size_bytes: int) -> None:
        self._quotas.take(QuotaKind.TICKETS, owner, upload_id, ttl_s=OPEN_FOR_S)
        life_s = quota_life_s(self._store.settings)
        self._quotas.reserve_bytes(owner, upload_id, size_bytes=size_bytes, ttl_s=life_s)

    def start(self, ticket: Ticket) -> None:
        """Complete the upload and start its task. Raises as `complete` does, and Problem 429 `quota`."""
        with self.running_quota(ticket):
            started = self.completion.complete(ticket)
        if started.state not in OPEN_STATES:
            self._quotas.leave(QuotaKind.TICKETS, ticket.owner, ticket.id)

    @contextmanager
    def running_quota(self, ticket: Ticket) -> Iterator[None]:
        """Count the task as running; stop counting it if the block fails. Raises Problem 429 `quota`."""
        owner, life_s = ticket.owner, self._store.settings.results.expires_s
        try:
            self._quotas.take(QuotaKind.RUNNING, owner, ticket.id, ttl_s=life_s)
            yield
        except Exception:
            self._quotas.leave(QuotaKind.RUNNING, owner, ticket.id)
            raise

    def abandon(self, ticket: Ticket) -> None:
        """Abort an open upload and delete what has arrived. Raises Problem 409 while it is being completed."""
        if not self.completion.abandon(ticket):
            detail = "the upload is being completed: look up the result with the same id"
            raise Problem(HTTPStatus.CONFLICT, "upload-over", detail)
        self._quotas.leave(QuotaKind.TICKETS, ticket.owner, ticket.id)
        self._webhooks.cancel(ticket.id)
