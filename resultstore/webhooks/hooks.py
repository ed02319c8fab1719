"""Webhooks: what the routes that start work say when the client left an address."""

from collections.abc import Callable
from typing import Final

from resultstore.addresses import allowed_addresses
from resultstore.index.index import RunsScripts
from resultstore.model.errors import AddressRefused
from resultstore.model.mac import Macs
from resultstore.store import Store
from resultstore.webhooks.outbox import Hook, Outbox
from resultstore.webhooks.signing import Signing

_NOT_HERE: Final = "webhooks are not set up here: set RESULTSTORE_WEBHOOK_SECRET, and use redis:// as the index"


class Webhooks:
    """Keeps addresses until the work has ended; `sending` does the rest.

    Args:
        store: whose Results; its settings name the secret and what may be reached.

    Raises Misconfigured when a setting is not what it should be.
    """

    def __init__(self, store: Store) -> None:
        settings = store.settings
        secret = settings.webhook_secret
        self.addresses = allowed_addresses(settings)
        self.signing = Signing(secret) if secret else None
        macs = Macs(settings.secret_key.encode())
        self._hear: Callable[[str], None] = _nobody_hears
        self.outbox = Outbox(store.index, macs) if isinstance(store.index, RunsScripts) else None

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
            self.outbox.watch(Hook(id=result_id, url=url, owner=owner))
            self._hear(result_id)

    def heard_by(self, hear: Callable[[str], None]) -> None:
        """Tell `hear` of each id that is watched from now on: it is in this process that most of them end soon."""
        self._hear = hear

    def forget(self, result_id: str) -> None:
        """Send nothing: the work was not dispatched after all. Raises IndexUnavailable."""
        if self.outbox is not None:
            self.outbox.done(result_id)


def _nobody_hears(_result_id: str) -> None:
    """No thread of this process sends; those of another one look for themselves."""
