"""Running: the threads of a gateway that notice ends and send word of them."""

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
    """Send for as long as the block lasts, on two threads; nothing where no secret is set.

    Any number of gateways may do this over one index: each hook is sent by one of them at a time.

    Args:
        webhooks: what was left with the work.
        store: whose Results.
        view: what a receiver may see of a Result, as JSON.
    """
    if webhooks.signing is None or webhooks.outbox is None:
        yield None
        return
    outbox = webhooks.outbox
    sending = WebhookSender(store, outbox, signing=webhooks.signing, addresses=webhooks.addresses, view=view)
    noticing = EndNotifier(store, outbox, ended=sending.wake)
    thread = threading.Thread(target=lambda: asyncio.run(sending.run()), name="resultstore-webhooks", daemon=True)
    webhooks.heard_by(noticing.hear)
    noticing.start()
    thread.start()
    try:
        yield sending
    finally:
        noticing.stop()
        sending.stop()
        thread.join(TRY_S)
