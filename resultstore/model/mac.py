"""Message authentication codes (HMAC): they prove that a value was made with the secret key."""

import functools
import hmac
from collections.abc import Sequence
from typing import Final

from resultstore.model.errors import BadReference

_MAC_BYTES: Final = 16  # 128 bits: the minimum of RFC 2104, section 5, for SHA-256
_NO_KEY: Final = "there is no secret key to sign with: set RESULTSTORE_SECRET_KEY, the same for all processes"


class Macs:
    """Signs and checks values with HMAC-SHA256 (RFC 2104).

    Each purpose has a key of its own, derived from the secret key, so that a MAC of one is not valid for another.

    Args:
        secret: the secret key; b"" if none is set: then nothing can be signed, and no MAC is valid.
        older: earlier secret keys. MACs made with them stay valid, and no new ones are made.
        accept_unsigned: whether values without any MAC are accepted, while a store is changed over to a key.
    """

    def __init__(self, secret: bytes, *, older: Sequence[bytes] = (), accept_unsigned: bool = False) -> None:
        self._secret = secret
        self._checking = (secret, *older) if secret else ()
        self.accept_unsigned = accept_unsigned

    def __bool__(self) -> bool:
        return bool(self._secret)

    def sign(self, purpose: str, *parts: str) -> str:
        """Return the MAC of `parts` in hex (32 digits). The length of each part is signed too.

        Raises BadReference if no secret key is set.
        """
        return _digest(self._needed(), purpose, _framed(parts))[:_MAC_BYTES].hex()

    def agrees(self, mac: str, purpose: str, *parts: str) -> bool:
        """Return whether `mac` is valid for `parts`, by the key or an older one. Compares in constant time."""
        framed = _framed(parts)
        return any(_same(mac, _digest(key, purpose, framed)[:_MAC_BYTES]) for key in self._checking)

    def digest(self, purpose: str, content: bytes) -> str:
        """Return the whole HMAC of `content` in hex (64 digits). Raises BadReference if no secret key is set."""
        return _digest(self._needed(), purpose, content).hex()

    def digest_agrees(self, digest: str, purpose: str, content: bytes) -> bool:
        """Return whether `digest` is valid for `content`, by the key or an older one. Compares in constant time."""
        return any(_same(digest, _digest(key, purpose, content)) for key in self._checking)

    def _needed(self) -> bytes:
        if not self._secret:
            raise BadReference(_NO_KEY)
        return self._secret


def _same(given: str, wanted: bytes) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), wanted.hex().encode())


def _framed(parts: Sequence[str]) -> bytes:
    text = "".join([f"{len(part)}:{part}," for part in parts])
    if text.isascii():  # one byte for each character: nearly always so, and five times as fast
        return text.encode()
    return b"".join(b"%d:%s," % (len(one), one) for one in (part.encode() for part in parts))


def hmac_sha256(key: bytes, content: bytes) -> bytes:
    """Return the HMAC-SHA256 (RFC 2104) of `content`, for a key that is used many times.

    `hmac.digest` releases the GIL on each call, which costs 39 us in a busy gateway. Copying a keyed HMAC takes 3 us.
    """
    keyed = _keyed(key).copy()
    keyed.update(content)
    return keyed.digest()


def _digest(secret: bytes, purpose: str, content: bytes) -> bytes:
    return hmac_sha256(_key(secret, purpose), content)


@functools.lru_cache(maxsize=64)
def _key(secret: bytes, purpose: str) -> bytes:
    return hmac.digest(secret, f"resultstore {purpose}".encode(), "sha256")


@functools.lru_cache(maxsize=64)
def _keyed(key: bytes) -> hmac.HMAC:
    return hmac.new(key, digestmod="sha256")
