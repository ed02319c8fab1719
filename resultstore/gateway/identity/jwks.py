"""Jwks: the public keys of an issuer of JWTs (RFC 7517), fetched, kept, and fetched again when they turn."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import httpx
import jwt
import msgspec

from resultstore.model.errors import Unavailable
from resultstore.telemetry.logs import Log

FRESH_S: Final = 600.0
STALE_S: Final = 3600.0  # how long known keys are believed when the issuer does not answer
ASK_AGAIN_S: Final = 10.0  # not sooner, however many tokens name keys that nobody has
TIMEOUT_S: Final = 5.0  # for all of an answer, however slowly it comes
FRESHEN_S: Final = 1.0  # how long whoever notices that known keys are old waits for new ones
MAX_BYTES: Final = 256 * 1024
# Which algorithm a key's kind stands for. A key never chooses one of another kind, and no secret stands in a JWKS.
ALGORITHM_OF: Final[Mapping[str, str]] = {"RSA": "RS256", "OKP": "EdDSA"}

_log = Log(__name__)


class JwksKeys:
    """The keys at one URL.

    Args:
        url: where the issuer publishes them.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._fetched_at = -STALE_S
        self._asked_at = -ASK_AGAIN_S
        self._flight: asyncio.Task[None] | None = None

    async def key(self, kid: str) -> jwt.PyJWK | None:
        """The key of that name; None when the issuer has none. "" is the only key of an issuer that names none.

        A known key is given at once while a new look at the issuer is under way, however slow that is: only a key that
        is not known, or known from too long ago, has to wait for it.
        Raises Unavailable when the issuer does not answer and nothing is known of it that is young enough.
        """
        age_s = time.monotonic() - self._fetched_at
        if kid not in self._keys or age_s > STALE_S:
            await self._refreshed(TIMEOUT_S)
        elif age_s > FRESH_S and self._flight is None:
            await self._refreshed(FRESHEN_S)
        if time.monotonic() - self._fetched_at > STALE_S:
            raise Unavailable("the issuer of tokens does not answer: see RESULTSTORE_JWT_JWKS_URL")
        return self._keys.get(kid)

    async def _refreshed(self, limit_s: float) -> None:
        """Wait for the answer that is under way, or for a new one, unless the issuer was asked just before."""
        if self._flight is None:
            now = time.monotonic()
            if now - self._asked_at < ASK_AGAIN_S:
                return
            self._asked_at = now
            self._flight = asyncio.create_task(self._refresh())
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await asyncio.shield(self._flight)  # whoever gives up leaves it to the others

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                self._keys = _by_name(await _fetched(self._url))
            self._fetched_at = time.monotonic()
        except (httpx.HTTPError, jwt.PyJWTError, ValueError, RecursionError, TimeoutError) as error:
            _log.warning("issuer_keys_not_fetched", error=type(error).__name__)
        finally:
            self._flight = None


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
