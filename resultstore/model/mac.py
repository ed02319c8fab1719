"""Mac: proves that a small value was made by somebody who knows the secret key."""

import functools
import hmac
from collections.abc import Sequence
from typing import Final

from resultstore.model.errors import BadReference

_MAC_BYTES: Final = 16  # 128 bits: what RFC 2104 section 5 allows at least for SHA-256
_NO_KEY: Final = "there is no secret key to sign with: set RESULTSTORE_SECRET_KEY, the same for all processes"


class Macs:
    """HMAC-SHA256 (RFC 2104), each purpose under a key of its own, so that a mac of one is none of another.

    Args:
        secret: the secret key; b"" where none is set: nothing can be signed, and nothing agrees.
        older: keys that were in use before: what they signed still agrees, and nothing more is signed with them.
        accept_unsigned: whether what bears no mac at all is believed, while a store is changed over to a key.
    """

    def __init__(self, secret: bytes, *, older: Sequence[bytes] = (), accept_unsigned: bool = False) -> None:
        self._secret = secret
        self._checking = (secret, *older) if secret else ()
        self.accept_unsigned = accept_unsigned

    def __bool__(self) -> bool:
        return bool(self._secret)

    def sign(self, purpose: str, *parts: str) -> str:
        """The mac of `parts` in hex (32 digits). Each part's length is signed too: their borders cannot be moved.

        Raises BadReference where no secret key is set.
        """
        return _digest(self._needed(), purpose, _framed(parts))[:_MAC_BYTES].hex()

    def agrees(self, mac: str, purpose: str, *parts: str) -> bool:
        """Whether `mac` is that of `parts` for `purpose`, by the key or an older one; compares in constant time."""
        framed = _framed(parts)
        return any(_same(mac, _digest(key, purpose, framed)[:_MAC_BYTES]) for key in self._checking)

    def digest(self, purpose: str, content: bytes) -> str:
        """The whole HMAC of `content` in hex (64 digits). Raises BadReference where no secret key is set."""
        return _digest(self._needed(), purpose, content).hex()

    def digest_agrees(self, digest: str, purpose: str, content: bytes) -> bool:
        """Whether `digest` is that of `content`, by the key or an older one; compares in constant time."""
        return any(_same(digest, _digest(key, purpose, content)) for key in self._checking)

    def _needed(self) -> bytes:
        if not self._secret:
            raise BadReference(_NO_KEY)
        return self._secret


def _same(said: str, wanted: bytes) -> bool:
    return hmac.compare_digest(said.encode(errors="replace"), wanted.hex().encode())


def _framed(parts: Sequence[str]) -> bytes:
    text = "".join([f"{len(part)}:{part}," for part in parts])
    if text.isascii():  # then characters are bytes: nearly always, and five times as fast
        return text.encode()
    return b"".join(b"%d:%s," % (len(one), one) for one in (part.encode() for part in parts))


def hmac_sha256(key: bytes, content: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104) of `content`, for a key that is used again and again.

    `hmac.digest` lets other threads go first each time, however short `content` is: 39 us a call in a gateway at work.
    A copy of what the key has begun takes 3.
    """
    begun = _begun(key).copy()
    begun.update(content)
    return begun.digest()


def _digest(secret: bytes, purpose: str, content: bytes) -> bytes:
    return hmac_sha256(_key(secret, purpose), content)


@functools.lru_cache(maxsize=64)
def _key(secret: bytes, purpose: str) -> bytes:
    return hmac.digest(secret, f"resultstore {purpose}".encode(), "sha256")


@functools.lru_cache(maxsize=64)
def _begun(key: bytes) -> hmac.HMAC:
    return hmac.new(key, digestmod="sha256")
