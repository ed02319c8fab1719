"""Webhooks: registers the address that is to be notified of the end of work."""

from collections.abc import Callable, Mapping
from typing import Final

from resultstore.index.index import ScriptRunner
from resultstore.model.errors import AddressRefused, Misconfigured
from resultstore.model.mac import Macs
from resultstore.store import Store
from resultstore.webhooks.addresses import allowed_addresses
from resultstore.webhooks.outbox import PendingWebhook, WebhookOutbox
from resultstore.webhooks.signing import WebhookSigner

_NOT_CONFIGURED: Final = "webhooks are not configured: set RESULTSTORE_WEBHOOK_SECRET, and use redis:// as the index"


class Webhooks:
    """Stores addresses until the work has ended; `WebhookSender` notifies them then.

    Args:
        store: of the Results; its settings hold the secret and the allowed networks.
        addresses: the URL for each task whose client names none.
        default: the URL for all other tasks; "" for none.

    Raises Misconfigured for an invalid setting.
    """

    def __init__(self, store: Store, *, addresses: Mapping[str, str] | None = None, default: str = "") -> None:
        settings = store.settings
        secret = settings.webhooks.secret
        self.addresses = allowed_addresses(settings)
        self.signing = WebhookSigner(secret) if secret else None
        macs = Macs(settings.security.secret_key.encode())
        self._listener: Callable[[str], None] = _ignore
        self.outbox = WebhookOutbox(store.index.keys, macs) if isinstance(store.index.keys, ScriptRunner) else None
        self._of_tasks = {task: url for task, url in (addresses or {}).items() if url}
        self._default = default
        for one in {*self._of_tasks.values(), default} - {""}:
            self._check_configured(one)

    def address_for(self, task: str, given: str | None) -> str:
        """Return the URL to notify: the `given` one of the client, else the configured one; "" for none."""
        return given or self._of_tasks.get(task, self._default)

    def check(self, url: str) -> None:
        """Raise AddressRefused if `url` may not be notified. Its host is resolved only when the webhook is sent."""
        if self.signing is None or self.outbox is None:
            raise AddressRefused(_NOT_CONFIGURED)
        self.addresses.check_url(url)

    def register(self, result_id: str, url: str, owner: str) -> None:
        """Notify `url` when the work of this id has ended, if the Result belongs to this owner.

        Call it before the work is dispatched: a crash in between leaves a hook that is removed after a day.
        Raises AddressRefused, IndexUnavailable.
        """
        self.check(url)
        if self.outbox is not None:
            self.outbox.add(PendingWebhook(id=result_id, url=url, owner=owner))
            self._listener(result_id)

    def set_listener(self, listener: Callable[[str], None]) -> None:
        """Call `listener` with each id that is registered from now on, so that this process subscribes to it."""
        self._listener = listener

    def cancel(self, result_id: str) -> None:
        """Remove the hook, because the work was not dispatched. Raises IndexUnavailable."""
        if self.outbox is not None:
            self.outbox.remove(result_id)

    def _check_configured(self, url: str) -> None:
        try:
            self.check(url)
        except AddressRefused as error:
            raise Misconfigured(f"RESULTSTORE_WEBHOOK_URL, or an offer's webhook_url: {error}") from error


def _ignore(_result_id: str) -> None:
    """Do nothing: this process sends no webhooks, and other processes poll for new ones."""
