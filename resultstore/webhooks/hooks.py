"""Webhooks: what the routes that start work say when the client left an address."""

from collections.abc import Callable, Mapping
from typing import Final

from resultstore.index.index import ScriptRunner
from resultstore.model.errors import AddressRefused, Misconfigured
from resultstore.model.mac import Macs
from resultstore.store import Store
from resultstore.webhooks.addresses import allowed_addresses
from resultstore.webhooks.outbox import PendingWebhook, WebhookOutbox
from resultstore.webhooks.signing import WebhookSigner

_NOT_HERE: Final = "webhooks are not set up here: set RESULTSTORE_WEBHOOK_SECRET, and use redis:// as the index"


class Webhooks:
    """Keeps addresses until the work has ended; `sending` does the rest.

    Args:
        store: whose Results; its settings name the secret and what may be reached.
        addresses: where word goes of which task when its client names no address; `default` for all others.
        default: "" for nowhere.

    Raises Misconfigured when a setting is not what it should be.
    """

    def __init__(self, store: Store, *, addresses: Mapping[str, str] | None = None, default: str = "") -> None:
        settings = store.settings
        secret = settings.webhooks.secret
        self.addresses = allowed_addresses(settings)
        self.signing = WebhookSigner(secret) if secret else None
        macs = Macs(settings.security.secret_key.encode())
        self._hear: Callable[[str], None] = _nobody_hears
        self.outbox = WebhookOutbox(store.index.keys, macs) if isinstance(store.index.keys, ScriptRunner) else None
        self._of_tasks = {task: url for task, url in (addresses or {}).items() if url}
        self._default = default
        for one in {*self._of_tasks.values(), default} - {""}:
            self._check_configured(one)

    def address(self, task: str, given: str | None) -> str:
        """Return where word of this task's end goes: where its client says, else as configured; "" for nowhere."""
        return given or self._of_tasks.get(task, self._default)

    def check(self, url: str) -> None:
        """Raise AddressRefused unless word can be sent to `url`; its host is looked up only when it is sent."""
        if self.signing is None or self.outbox is None:
            raise AddressRefused(_NOT_HERE)
        self.addresses.check_url(url)

    def watch(self, result_id: str, url: str, owner: str) -> None:
        """Send word to `url` when the work of this id has ended, if the Result is this owner's.

        Call it before the work is dispatched: a crash in between leaves a hook that is dropped after a day.
        Raises AddressRefused, IndexUnavailable.
        """
        self.check(url)
        if self.outbox is not None:
            self.outbox.watch(PendingWebhook(id=result_id, url=url, owner=owner))
            self._hear(result_id)

    def heard_by(self, hear: Callable[[str], None]) -> None:
        """Tell `hear` of each id that is watched from now on: it is in this process that most of them end soon."""
        self._hear = hear

    def forget(self, result_id: str) -> None:
        """Send nothing: the work was not dispatched after all. Raises IndexUnavailable."""
        if self.outbox is not None:
            self.outbox.done(result_id)

    def _check_configured(self, url: str) -> None:
        try:
            self.check(url)
        except AddressRefused as error:
            raise Misconfigured(f"RESULTSTORE_WEBHOOK_URL, or an offer's webhook_url: {error}") from error


def _nobody_hears(_result_id: str) -> None:
    """No thread of this process sends; those of another one look for themselves."""
