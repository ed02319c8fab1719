"""JwksKeys: the public keys of a JWT issuer (RFC 7517), fetched and cached."""

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
STALE_S: Final = 3600.0  # how long cached keys are trusted when the issuer does not answer
FETCH_INTERVAL_S: Final = 10.0  # minimum interval between fetches, however many tokens name unknown keys
TIMEOUT_S: Final = 5.0  # for a complete response
REFRESH_WAIT_S: Final = 1.0  # how long a request with an old cached key waits for a refresh
MAX_BYTES: Final = 256 * 1024
# The one algorithm of each key type. A JWKS is public, so it never supplies a key for HS256.
ALGORITHM_OF_KEY_TYPE: Final[Mapping[str, str]] = {"RSA": "RS256", "OKP": "EdDSA"}

_log = Log(__name__)


class JwksKeys:
    """The keys at one URL.

    Args:
        url: the issuer's JWKS endpoint.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._fetched_at = -STALE_S
        self._tried_at = -FETCH_INTERVAL_S
        self._fetching: asyncio.Task[None] | None = None

    async def key(self, kid: str) -> jwt.PyJWK | None:
        """Return the key with this id, or None if the issuer has none; "" is the key of an issuer with a single key.

        A fresh cached key is returned at once. An older one is refreshed in the background, with a short wait. Only an
        unknown key, or one older than `STALE_S`, waits for the fetch.
        Raises Unavailable when the issuer does not answer and the cached keys are too old.
        """
        age_s = time.monotonic() - self._fetched_at
        if kid not in self._keys or age_s > STALE_S:
            await self._wait_for_refresh(TIMEOUT_S)
        elif age_s > FRESH_S and self._fetching is None:
            await self._wait_for_refresh(REFRESH_WAIT_S)
        if time.monotonic() - self._fetched_at > STALE_S:
            raise Unavailable("the JWT issuer does not answer: check RESULTSTORE_JWT_JWKS_URL")
        return self._keys.get(kid)

    async def _wait_for_refresh(self, limit_s: float) -> None:
        """Wait for the running fetch, or start one unless the last try is too recent."""
        if self._fetching is None:
            now = time.monotonic()
            if now - self._tried_at < FETCH_INTERVAL_S:
                return
            self._tried_at = now
            self._fetching = asyncio.create_task(self._refresh())
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await asyncio.shield(self._fetching)  # other requests may still wait for it

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                self._keys = _keys_by_id(await _fetch(self._url))
            self._fetched_at = time.monotonic()
        except (httpx.HTTPError, jwt.PyJWTError, ValueError, RecursionError, TimeoutError) as error:
            _log.warning("issuer_keys_not_fetched", error=type(error).__name__)
        finally:
            self._fetching = None


async def _fetch(url: str) -> Mapping[str, object]:
    body = b""
    new_client = httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False)
    async with new_client as client, client.stream("GET", url) as response:
        response.raise_for_status()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_BYTES:
                raise ValueError(f"the JWKS is larger than {MAX_BYTES} bytes")
    return msgspec.json.decode(body, type=dict[str, object])


def _keys_by_id(found: Mapping[str, object]) -> Mapping[str, jwt.PyJWK]:
    """Return the keys for signatures with a supported algorithm, by key id."""
    listed = msgspec.convert(found.get("keys"), list[object])
    usable = [one for one in listed if isinstance(one, dict) and _verifies(one)]
    keys = {str(one.get("kid", "")): jwt.PyJWK(one, ALGORITHM_OF_KEY_TYPE[one["kty"]]) for one in usable}
    if len(usable) == 1:
        keys.setdefault("", next(iter(keys.values())))
    return keys


def _verifies(key: Mapping[str, object]) -> bool:
    algorithm = ALGORITHM_OF_KEY_TYPE.get(str(key.get("kty")))
    return algorithm is not None and key.get("use", "sig") == "sig" and key.get("alg", algorithm) == algorithm
