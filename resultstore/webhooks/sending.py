"""WebhookSender: sends due hooks, with retries for a day."""

import asyncio
import hashlib
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

import httpx
import msgspec
from anyio import to_thread

from resultstore.model.errors import AddressRefused, ResultStoreError, Unavailable
from resultstore.model.result import Result, State
from resultstore.store import Store
from resultstore.telemetry.logs import Log
from resultstore.webhooks.addresses import AddressGuard, GuardedTransport
from resultstore.webhooks.outbox import PendingWebhook, WebhookOutbox
from resultstore.webhooks.signing import WebhookSigner

CONCURRENCY: Final = 16
TRY_S: Final = 15.0  # Standard Webhooks, "Deliverability and reliability": 15 to 30 s
FIRST_PAUSE_S: Final = 5.0
LONGEST_PAUSE_S: Final = 4 * 3600.0
LAST_TRY_S: Final = 24 * 3600.0
_LEASE_S: Final = 60.0  # longer than an attempt; the hooks of a gateway that died are due again then
_POLL_S: Final = 1.0
_ANSWER_BYTES: Final = 4096
_KEPT_BODY_BYTES: Final = 64 * 1024
_KINDS: Final = {
    State.SUCCESS: "result.succeeded",
    State.FAILURE: "result.failed",
    State.REVOKED: "result.revoked",
}

_log = Log(__name__)


class WebhookSender:
    """Sends hooks on one event loop; only `wake` and `stop` may be called from other threads.

    Args:
        store: of the Results.
        outbox: of the due hooks.
        signing: signs the messages.
        addresses: checks the addresses.
        view: returns the public view of a Result as JSON.
    """

    def __init__(
        self,
        store: Store,
        outbox: WebhookOutbox,
        *,
        signing: WebhookSigner,
        addresses: AddressGuard,
        view: Callable[[Result], bytes],
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._signing = signing
        self._addresses = addresses
        self._view = view
        self._loop: asyncio.AbstractEventLoop | None = None
        self._due = asyncio.Event()
        self._stopped = False
        self.sent_total = {"delivered": 0, "failed": 0, "given up": 0}

    def wake(self) -> None:
        """Look for due hooks now."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._due.set)

    def stop(self) -> None:
        """Lease no more hooks; finish those that are being sent."""
        self._stopped = True
        self.wake()

    async def run(self) -> None:
        """Send due hooks until stopped."""
        self._loop = asyncio.get_running_loop()
        sending: set[asyncio.Task[None]] = set()
        transport = GuardedTransport(self._addresses)
        async with httpx.AsyncClient(transport=transport, timeout=TRY_S, follow_redirects=False) as client:
            while not self._stopped:
                self._due.clear()
                for hook in await self._lease_due(CONCURRENCY - len(sending)):
                    task = asyncio.create_task(self._send(client, hook))
                    sending.add(task)
                    task.add_done_callback(sending.discard)
                    task.add_done_callback(lambda _: self._due.set())
                try:
                    await asyncio.wait_for(self._due.wait(), _POLL_S)
                except TimeoutError:
                    continue
            await asyncio.gather(*sending, return_exceptions=True)

    async def _lease_due(self, count: int) -> list[PendingWebhook]:
        if count <= 0:
            return []
        try:
            return await to_thread.run_sync(lambda: self._outbox.lease(count, lease_s=_LEASE_S))
        except Exception as error:  # noqa: BLE001 - one error must not end the loop
            _log.warning("webhooks_not_leased", error=repr(error))
            return []

    async def _send(self, client: httpx.AsyncClient, hook: PendingWebhook) -> None:
        """Make one attempt and record its outcome. If a server is away, the hook is due again after its lease."""
        try:
            body, outcome = await self._attempt(client, hook)
            self.sent_total[outcome] += 1
            _log.info("webhook_attempted", id=hook.id, outcome=outcome, tries=hook.tries + 1)
            await to_thread.run_sync(self._record, hook, body, outcome)
        except ResultStoreError as error:
            _log.warning("webhook_not_recorded", id=hook.id, error=str(error))

    async def _attempt(self, client: httpx.AsyncClient, hook: PendingWebhook) -> tuple[bytes, str]:
        """Build and post the message. Return both; any error but Unavailable is a failed attempt."""
        body = hook.body
        try:
            body = body or await to_thread.run_sync(self._message, hook)
            return body, await self._post(client, hook, body) if body else "given up"
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - a hook that always fails must not be retried forever
            _log.warning("webhook_failed", id=hook.id, error=type(error).__name__)
            return body, "failed"

    async def _post(self, client: httpx.AsyncClient, hook: PendingWebhook, body: bytes) -> str:
        """Return "delivered", "failed" (retry), or "given up": answered with 410, or the address is not allowed."""
        message_id = "msg_" + hashlib.sha256(hook.id.encode()).hexdigest()[:32]
        headers = {
            "content-type": "application/json",
            "user-agent": "resultstore-webhooks",
            **self._signing.headers(message_id, body, now_s=int(time.time())),
        }
        try:
            async with (
                asyncio.timeout(TRY_S),
                client.stream("POST", hook.url, content=body, headers=headers) as answer,
            ):
                read_bytes = 0
                async for chunk in answer.aiter_raw():
                    read_bytes += len(chunk)
                    if read_bytes >= _ANSWER_BYTES:
                        break
                status = answer.status_code
        except AddressRefused as error:
            _log.warning("webhook_refused", id=hook.id, error=str(error))
            return "given up"
        except (httpx.HTTPError, TimeoutError) as error:
            _log.info("webhook_failed", id=hook.id, error=type(error).__name__)
            return "failed"
        if status == HTTPStatus.GONE:
            return "given up"
        return "delivered" if httpx.codes.is_success(status) else "failed"

    def _record(self, hook: PendingWebhook, body: bytes, outcome: str) -> None:
        now, first_at = time.time(), hook.first_at or time.time()
        pause_s = retry_pause_s(hook.tries)
        if outcome != "failed" or now + pause_s > first_at + LAST_TRY_S:
            self._outbox.remove(hook.id)
            return
        kept = body if len(body) <= _KEPT_BODY_BYTES else b""
        again = msgspec.structs.replace(hook, tries=hook.tries + 1, first_at=first_at, body=kept)
        self._outbox.retry_later(again, after_s=pause_s)

    def _message(self, hook: PendingWebhook) -> bytes:
        """Return the message; b"" if the Result was deleted or belongs to another owner."""
        result = self._store.load(hook.id)
        if result is None or not result.terminal or result.owner != hook.owner:
            return b""
        kind = _KINDS[State(result.state)]
        at = datetime.fromtimestamp(result.ended_at or result.changed_at or time.time(), UTC).isoformat()
        return msgspec.json.encode({"type": kind, "timestamp": at, "data": msgspec.Raw(self._view(result))})


def retry_pause_s(tries: int) -> float:
    """Return the back-off after `tries` + 1 failed attempts: 5, 20, 80 ... s, at most 4 h, with 25 % jitter."""
    return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 4.0 ** min(tries, 20)) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter
