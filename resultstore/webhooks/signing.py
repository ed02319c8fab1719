"""WebhookSigner: the headers that authenticate a webhook (Standard Webhooks 1.0.0)."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from resultstore.model.errors import Misconfigured

_PREFIX: Final = "whsec_"
_MIN_BYTES, _MAX_BYTES = 24, 64  # Standard Webhooks, "Signature scheme"


class WebhookSigner:
    """Signs with every secret, so that secrets can be rotated while receivers still check the old one.

    Args:
        secrets: `whsec_` and the base64 of 24 to 64 bytes; several are separated by spaces.

    Raises Misconfigured; the message does not contain the secret.
    """

    def __init__(self, secrets: str) -> None:
        self._keys = [_key(one) for one in secrets.split()]

    def headers(self, message_id: str, body: bytes, *, now_s: int) -> Mapping[str, str]:
        """Return the three headers of one attempt. Its id lets receivers find repeats.

        Args:
            message_id: without a full stop.
            body: the bytes that are sent.
            now_s: seconds since the epoch; receivers refuse a timestamp that is some minutes old.
        """
        signed = f"{message_id}.{now_s}.".encode() + body
        digests = [hmac.digest(key, signed, hashlib.sha256) for key in self._keys]
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(now_s),
            "webhook-signature": " ".join(f"v1,{base64.b64encode(one).decode()}" for one in digests),
        }


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not secret.startswith(_PREFIX) or not _MIN_BYTES <= len(key) <= _MAX_BYTES:
        raise Misconfigured(
            "RESULTSTORE_WEBHOOK_SECRET must be whsec_ and the base64 of 24 to 64 random bytes: create one with "
            "`echo whsec_$(openssl rand -base64 32)`"
        )
    return key
