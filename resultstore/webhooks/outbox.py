"""Outbox: the webhooks that have not been sent, kept in Redis so that no restart loses one."""

import hashlib
from importlib import resources
from typing import Final, cast

import msgspec

from resultstore.index.index import ScriptRunner
from resultstore.model import layout
from resultstore.model.mac import Macs

_SCRIPT: Final = resources.files("resultstore.webhooks").joinpath("outbox.lua").read_text(encoding="utf-8")
_PURPOSE: Final = "webhook"


class PendingWebhook(msgspec.Struct, frozen=True, kw_only=True):
    """Where to send word of one Result.

    Args:
        id: the Result's.
        url: where to.
        owner: whose Result it must be.
        mac: proves that a gateway wrote this; "" where there is no secret key.
        tries: how often it was sent in vain.
        first_at: when it was sent first (epoch seconds); 0.0 not yet.
        body: what was sent first: each repetition sends the same.
    """

    id: str
    url: str
    owner: str
    mac: str = ""
    tries: int = 0
    first_at: float = 0.0
    body: bytes = b""


class WebhookOutbox:
    """All gateways over one index share it. Every method raises IndexUnavailable.

    Args:
        index: where it stands.
        macs: sign what is kept: whoever can write to Redis must not have results sent to himself.
    """

    def __init__(self, index: ScriptRunner, macs: Macs) -> None:
        self._index = index
        self._macs = macs
        self._keys = [layout.webhooks_key(part) for part in ("hooks", "waiting", "due")]

    def watch(self, hook: PendingWebhook) -> None:
        """Keep `hook` until its work has ended."""
        self._run("watch", hook.id, self._written(hook))

    def ended(self, result_id: str) -> bool:
        """The work has ended; whether its hook waited for that and is due now."""
        return bool(self._run("ended", result_id))

    def lease(self, count: int, *, lease_s: float) -> list[PendingWebhook]:
        """Up to `count` hooks to be sent now. Nobody else gets them for `lease_s`; after that somebody does."""
        found = cast("list[bytes]", self._run("lease", count, int(lease_s * 1000)))
        hooks = [self._read(key, document) for key, document in zip(found[::2], found[1::2], strict=True)]
        return [hook for hook in hooks if hook is not None]

    def again(self, hook: PendingWebhook, *, after_s: float) -> None:
        """Send it once more, later."""
        self._run("again", hook.id, self._written(hook), int(after_s * 1000))

    def done(self, result_id: str) -> None:
        """Nothing more is to be sent."""
        self._run("done", result_id)

    def waiting(self, *, start: int, count: int) -> list[tuple[str, int]]:
        """Ids whose work has not ended, the oldest first, each with for how long it has waited (s)."""
        page = cast("list[bytes]", self._run("waiting", start, count))
        return [(one.decode(errors="replace"), int(waited)) for one, waited in zip(page[::2], page[1::2], strict=True)]

    def _written(self, hook: PendingWebhook) -> bytes:
        mac = self._macs.sign(_PURPOSE, *_said(hook)) if self._macs else ""
        return msgspec.msgpack.encode(msgspec.structs.replace(hook, mac=mac))

    def _read(self, key: bytes, document: bytes) -> PendingWebhook | None:
        """The hook, or None for one that no gateway wrote: it is thrown away."""
        try:
            hook = msgspec.msgpack.decode(document, type=PendingWebhook)
        except msgspec.MsgspecError:
            hook = None
        genuine = hook is not None and hook.id.encode() == key
        if hook is not None and self._macs:
            genuine = genuine and self._macs.agrees(hook.mac, _PURPOSE, *_said(hook))
        if not genuine:
            self._run("done", key)
        return hook if genuine else None

    def _run(self, *said: str | bytes | float) -> list[object]:
        return self._index.run_script(_SCRIPT, keys=self._keys, args=said)


def _said(hook: PendingWebhook) -> tuple[str, ...]:
    return (hook.id, hook.url, hook.owner, str(hook.tries), str(hook.first_at), hashlib.sha256(hook.body).hexdigest())
