"""Outbox: the webhooks that have not been delivered, stored in Redis so that no restart loses one."""

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
    """Where to report the end of one Result's work.

    Args:
        id: of the Result.
        url: of the receiver.
        owner: of the Result; another owner's Result is not reported.
        mac: proves that a gateway wrote this; "" without a secret key.
        tries: the number of failed attempts.
        first_at: the time of the first attempt (epoch seconds); 0.0 before it.
        body: of the first attempt; each retry sends the same.
    """

    id: str
    url: str
    owner: str
    mac: str = ""
    tries: int = 0
    first_at: float = 0.0
    body: bytes = b""


class WebhookOutbox:
    """The outbox that all gateways of an index share. Every method raises IndexUnavailable.

    Args:
        scripts: run the steps, each atomic.
        macs: sign the entries, so that an attacker with access to Redis cannot have results sent to them.
    """

    def __init__(self, scripts: ScriptRunner, macs: Macs) -> None:
        self._scripts = scripts
        self._macs = macs
        self._keys = [layout.webhooks_key(part) for part in ("hooks", "waiting", "due")]

    def add(self, hook: PendingWebhook) -> None:
        """Store `hook` until its work has ended."""
        self._run("watch", hook.id, self._encode(hook))

    def mark_due(self, result_id: str) -> bool:
        """Make the hook due now, because its work has ended. Return whether it was waiting for that."""
        return bool(self._run("ended", result_id))

    def lease(self, count: int, *, lease_s: float) -> list[PendingWebhook]:
        """Return up to `count` due hooks, with a lease: they are due again after `lease_s` unless removed."""
        found = cast("list[bytes]", self._run("lease", count, int(lease_s * 1000)))
        hooks = [self._decode_or_remove(key, document) for key, document in zip(found[::2], found[1::2], strict=True)]
        return [hook for hook in hooks if hook is not None]

    def retry_later(self, hook: PendingWebhook, *, after_s: float) -> None:
        """Make the hook due again in `after_s` seconds."""
        self._run("again", hook.id, self._encode(hook), int(after_s * 1000))

    def remove(self, result_id: str) -> None:
        """Remove the hook."""
        self._run("done", result_id)

    def read_waiting(self, *, start: int, count: int) -> list[tuple[str, int]]:
        """Return ids whose work has not ended, the oldest first, each with its waiting time in seconds."""
        page = cast("list[bytes]", self._run("waiting", start, count))
        return [(one.decode(errors="replace"), int(waited)) for one, waited in zip(page[::2], page[1::2], strict=True)]

    def _encode(self, hook: PendingWebhook) -> bytes:
        mac = self._macs.sign(_PURPOSE, *_signed_fields(hook)) if self._macs else ""
        return msgspec.msgpack.encode(msgspec.structs.replace(hook, mac=mac))

    def _decode_or_remove(self, key: bytes, document: bytes) -> PendingWebhook | None:
        """Return the hook; remove it and return None if no gateway wrote it."""
        try:
            hook = msgspec.msgpack.decode(document, type=PendingWebhook)
        except msgspec.MsgspecError:
            hook = None
        genuine = hook is not None and hook.id.encode() == key
        if hook is not None and self._macs:
            genuine = genuine and self._macs.agrees(hook.mac, _PURPOSE, *_signed_fields(hook))
        if not genuine:
            self._run("done", key)
        return hook if genuine else None

    def _run(self, *args: str | bytes | float) -> list[object]:
        return self._scripts.run_script(_SCRIPT, keys=self._keys, args=args)


def _signed_fields(hook: PendingWebhook) -> tuple[str, ...]:
    return (hook.id, hook.url, hook.owner, str(hook.tries), str(hook.first_at), hashlib.sha256(hook.body).hexdigest())
