"""Jwts: recognises callers by signed tokens of one issuer (RFC 7519, read as RFC 8725 advises)."""

from collections.abc import Mapping
from typing import Final, Protocol
from urllib.parse import urlsplit

import jwt

from resultstore.gateway.identity.bearer import token_in, unknown_token
from resultstore.gateway.identity.caller import SCOPES, Caller
from resultstore.gateway.identity.jwks import JwksKeys
from resultstore.gateway.middleware.host_guard import LOOPBACK
from resultstore.model.errors import Misconfigured
from resultstore.settings import Settings
from resultstore.telemetry.logs import Log

LEEWAY_S: Final = 30
MIN_SECRET_BYTES: Final = 32  # RFC 7518 section 3.2
MAX_SUBJECT_CHARS: Final = 255

# A head of a thousand brackets ends json.loads with RecursionError; lone surrogates and numbers without end, with
# ValueError; a claim of a type that PyJWT did not think of, with TypeError.
_UNREADABLE: Final = (jwt.PyJWTError, ValueError, TypeError, RecursionError)

_log = Log(__name__)


class KeyFinder(Protocol):
    """Finds the key that a token names, with the one algorithm it is for."""

    async def key(self, kid: str) -> jwt.PyJWK | None:
        """The key of that name, or None. Raises Unavailable when it cannot be asked for."""


class SharedSecret:
    """The key that issuer and gateway share: HS256 and nothing else."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < MIN_SECRET_BYTES:
            raise Misconfigured(f"RESULTSTORE_JWT_SECRET is shorter than {MIN_SECRET_BYTES} bytes")
        octets = jwt.utils.base64url_encode(secret).decode()
        self._key = jwt.PyJWK({"kty": "oct", "k": octets}, "HS256")

    async def key(self, kid: str) -> jwt.PyJWK | None:  # noqa: ARG002  there is one, whatever it is called
        """The one key."""
        return self._key


class Jwts:
    """Owner = issuer and subject; scopes from the claim `scope` (RFC 8693), those that there are here.

    The algorithm is the key's, never the token's own word: neither `none` nor a public key taken for a secret passes.

    Args:
        keys: of the issuer.
        issuer, audience: what `iss` and `aud` must say.
    """

    mode: Final = "jwt"

    def __init__(self, keys: KeyFinder, *, issuer: str, audience: str) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience

    async def caller(self, authorization: str) -> Caller:
        """Who the token speaks of. Raises Problem 401, or Unavailable while the issuer's keys cannot be had."""
        token = token_in(authorization)
        try:
            claims = self._claims(token, await self._key(token))
            return Caller(owner=f"{self._issuer} {_subject(claims)}", scopes=_scopes(claims))
        except _UNREADABLE as error:
            _log.info("token_refused", reason=type(error).__name__)
            raise unknown_token() from None

    async def _key(self, token: str) -> jwt.PyJWK:
        head = jwt.get_unverified_header(token)
        kid = head.get("kid", "")
        key = await self._keys.key(kid) if isinstance(kid, str) else None
        if key is None:
            raise jwt.InvalidKeyError("no such key")
        if "crit" in head:  # RFC 7515 section 4.1.11: what must be understood and is not
            raise jwt.InvalidTokenError("critical extension")
        return key

    def _claims(self, token: str, key: jwt.PyJWK) -> Mapping[str, object]:
        claims: Mapping[str, object] = jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            issuer=self._issuer,
            audience=self._audience,
            leeway=LEEWAY_S,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
        return claims


def jwts_of(settings: Settings) -> Jwts:
    """What the settings `jwt_*` describe. Raises Misconfigured when one is missing, or when two keys are named."""
    if not settings.identity.jwt_issuer or not settings.identity.jwt_audience:
        raise Misconfigured("RESULTSTORE_AUTH=jwt needs RESULTSTORE_JWT_ISSUER and RESULTSTORE_JWT_AUDIENCE")
    secret = settings.identity.jwt_secret.encode()
    if bool(secret) == bool(settings.identity.jwt_jwks_url):
        raise Misconfigured("set one of RESULTSTORE_JWT_JWKS_URL and RESULTSTORE_JWT_SECRET, and not the other")
    keys: KeyFinder = SharedSecret(secret) if secret else JwksKeys(_safe_url(settings.identity.jwt_jwks_url))
    return Jwts(keys, issuer=settings.identity.jwt_issuer, audience=settings.identity.jwt_audience)


def _safe_url(url: str) -> str:
    """`url` itself; whoever can change keys on their way can let anybody in."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise Misconfigured("RESULTSTORE_JWT_JWKS_URL must be https")
    return url


def _subject(claims: Mapping[str, object]) -> str:
    subject = claims["sub"]
    if not isinstance(subject, str) or not subject.isprintable() or not 0 < len(subject) <= MAX_SUBJECT_CHARS:
        raise jwt.InvalidTokenError("not a name")
    return subject


def _scopes(claims: Mapping[str, object]) -> frozenset[str]:
    said = claims.get("scope", "")
    return SCOPES & frozenset(said.split()) if isinstance(said, str) else frozenset()
