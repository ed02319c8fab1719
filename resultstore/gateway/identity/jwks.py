"""Jwks: the public keys of an issuer of JWTs (RFC 7517), fetched, kept, and fetched again when they turn."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

import httpx
import jwt
import msgspec
import structlog

from resultstore.model.errors import Unavailable

FRESH_S: Final = 600.0
STALE_S: Final = 3600.0  # how long known keys are believed when the issuer does not answer
ASK_AGAIN_S: Final = 10.0  # not sooner, however many tokens name keys that nobody has
TIMEOUT_S: Final = 5.0
MAX_BYTES: Final = 256 * 1024
# Which algorithm a key's kind stands for. A key never chooses one of another kind, and no secret stands in a JWKS.
ALGORITHM_OF: Final[Mapping[str, str]] = {"RSA": "RS256", "OKP": "EdDSA"}

_log = structlog.get_logger(__name__)


class Jwks:
    """The keys at one URL.

    Args:
        url: where the issuer publishes them.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._fetched_at = -STALE_S
        self._asked_at = -ASK_AGAIN_S
        self._lock = asyncio.Lock()

    async def key(self, kid: str) -> jwt.PyJWK | None:
        """The key of that name; None when the issuer has none. "" is the only key of an issuer that names none.

        Raises Unavailable when the issuer does not answer and nothing is known of it that is young enough.
        """
        if time.monotonic() - self._fetched_at > FRESH_S or kid not in self._keys:
            async with self._lock:
                await self._refresh(kid)
        if time.monotonic() - self._fetched_at > STALE_S:
            raise Unavailable("the issuer of tokens does not answer: see RESULTSTORE_JWT_JWKS_URL")
        return self._keys.get(kid)

    async def _refresh(self, kid: str) -> None:
        """Ask again, unless somebody has while we waited for the lock, or just before in vain."""
        now = time.monotonic()
        known = now - self._fetched_at <= FRESH_S and kid in self._keys
        if known or now - self._asked_at < ASK_AGAIN_S:
            return
        self._asked_at = now
        try:
            self._keys = _by_name(await _fetched(self._url))
        except (httpx.HTTPError, jwt.PyJWTError, ValueError, RecursionError) as error:
            _log.warning("keys of the issuer not fetched", error=type(error).__name__)
            return
        self._fetched_at = now


async def _fetched(url: str) -> Mapping[str, object]:
    body = b""
    asking = httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False)
    async with asking as client, client.stream("GET", url) as said:
        said.raise_for_status()
        async for chunk in said.aiter_bytes():
            body += chunk
            if len(body) > MAX_BYTES:
                raise ValueError("too long for a set of keys")
    return msgspec.json.decode(body, type=dict[str, object])


def _by_name(found: Mapping[str, object]) -> Mapping[str, jwt.PyJWK]:
    """The keys that verify signatures with an algorithm that is served here."""
    listed = msgspec.convert(found.get("keys"), list[object])
    usable = [one for one in listed if isinstance(one, dict) and _verifies(one)]
    keys = {str(one.get("kid", "")): jwt.PyJWK(one, ALGORITHM_OF[one["kty"]]) for one in usable}
    if len(usable) == 1:
        keys.setdefault("", next(iter(keys.values())))
    return keys


def _verifies(key: Mapping[str, object]) -> bool:
    algorithm = ALGORITHM_OF.get(str(key.get("kty")))
    return algorithm is not None and key.get("use", "sig") == "sig" and key.get("alg", algorithm) == algorithm
