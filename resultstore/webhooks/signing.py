"""Signing: the headers by which a receiver knows a webhook (Standard Webhooks 1.0.0)."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from resultstore.model.errors import Misconfigured

_PREFIX: Final = "whsec_"
_LEAST_BYTES, _MOST_BYTES = 24, 64  # Standard Webhooks, "Signature scheme"


class WebhookSigner:
    """Signs with every secret, so that one can follow another while receivers still check the old one.

    Args:
        secrets: `whsec_` and base64 of 24 to 64 bytes; several by spaces.

    Raises Misconfigured, which says nothing of the secret.
    """

    def __init__(self, secrets: str) -> None:
        self._keys = [_key(one) for one in secrets.split()]

    def headers(self, message_id: str, body: bytes, *, now_s: int) -> Mapping[str, str]:
        """The three headers of one attempt. The id is the same in every attempt: the receiver's key to notice repeats.

        Args:
            message_id: without a full stop.
            body: the bytes as they are sent.
            now_s: seconds since the epoch; receivers refuse what is older than some minutes.
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
    if not secret.startswith(_PREFIX) or not _LEAST_BYTES <= len(key) <= _MOST_BYTES:
        raise Misconfigured(
            "RESULTSTORE_WEBHOOK_SECRET is whsec_ and the base64 of 24 to 64 random bytes: make one by "
            "`echo whsec_$(openssl rand -base64 32)`"
        )
    return key
