"""Mac: proves that a small value was made by somebody who knows the secret key."""

import hashlib
import hmac
from typing import Final

from resultstore.model.errors import BadReference

_MAC_BYTES: Final = 16  # 128 bits: what RFC 2104 section 5 allows at least for SHA-256
_NO_KEY: Final = "there is no secret key to sign with: set RESULTSTORE_SECRET_KEY, the same for all processes"


class Macs:
    """HMAC-SHA256 (RFC 2104), each purpose under a key of its own, so that a mac of one is none of another.

    Args:
        secret: the secret key; b"" where none is set: nothing can be signed, and nothing agrees.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def __bool__(self) -> bool:
        return bool(self._secret)

    def sign(self, purpose: str, *parts: str) -> str:
        """The mac of `parts` in hex (32 digits). Each part's length is signed too: their borders cannot be moved.

        Raises BadReference where no secret key is set.
        """
        if not self._secret:
            raise BadReference(_NO_KEY)
        key = hmac.digest(self._secret, f"resultstore {purpose}".encode(), hashlib.sha256)
        message = b"".join(b"%d:%s," % (len(one), one) for one in (part.encode() for part in parts))
        return hmac.digest(key, message, hashlib.sha256)[:_MAC_BYTES].hex()

    def agrees(self, mac: str, purpose: str, *parts: str) -> bool:
        """Whether `mac` is that of `parts` for `purpose`; compares in constant time."""
        return bool(self._secret) and hmac.compare_digest(mac.encode(), self.sign(purpose, *parts).encode())
