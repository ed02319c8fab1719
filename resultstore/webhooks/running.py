"""Running: the two threads of a gateway that detect ended work and send webhooks."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from resultstore.model.result import Result
from resultstore.store import Store
from resultstore.webhooks.hooks import Webhooks
from resultstore.webhooks.noticing import EndNotifier
from resultstore.webhooks.sending import TRY_S, WebhookSender


@contextmanager
def sending_webhooks(
    webhooks: Webhooks, store: Store, view: Callable[[Result], bytes]
) -> Iterator[WebhookSender | None]:
    """Send webhooks on two threads for the length of the block. Do nothing without a secret.

    Any number of gateways may do this on one index: a lease lets one of them send each hook.

    Args:
        webhooks: the registered hooks.
        store: of the Results.
        view: returns the public view of a Result as JSON.
    """
    if webhooks.signing is None or webhooks.outbox is None:
        yield None
        return
    outbox = webhooks.outbox
    sending = WebhookSender(store, outbox, signing=webhooks.signing, addresses=webhooks.addresses, view=view)
    noticing = EndNotifier(store, outbox, ended=sending.wake)
    thread = threading.Thread(target=lambda: asyncio.run(sending.run()), name="resultstore-webhooks", daemon=True)
    webhooks.set_listener(noticing.subscribe)
    noticing.start()
    thread.start()
    try:
        yield sending
    finally:
        noticing.stop()
        sending.stop()
        thread.join(TRY_S)
