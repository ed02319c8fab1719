"""JwtIdentities: authenticates callers by JWTs of one issuer (RFC 7519, with the advice of RFC 8725)."""

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

# json.loads raises RecursionError for a header of a thousand brackets, ValueError for lone surrogates and for endless
# numbers; PyJWT raises TypeError for claims of unexpected types.
_UNREADABLE: Final = (jwt.PyJWTError, ValueError, TypeError, RecursionError)

_log = Log(__name__)


class KeyFinder(Protocol):
    """Finds the key that a token names; the key determines the algorithm."""

    async def key(self, kid: str) -> jwt.PyJWK | None:
        """Return the key with this id, or None. Raises Unavailable when the issuer cannot be reached."""


class SharedSecret:
    """One key that issuer and gateway share, for HS256 only."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < MIN_SECRET_BYTES:
            raise Misconfigured(f"RESULTSTORE_JWT_SECRET is shorter than {MIN_SECRET_BYTES} bytes")
        octets = jwt.utils.base64url_encode(secret).decode()
        self._key = jwt.PyJWK({"kty": "oct", "k": octets}, "HS256")

    async def key(self, kid: str) -> jwt.PyJWK | None:  # noqa: ARG002  there is only one
        """Return the key."""
        return self._key


class JwtIdentities:
    """The owner is issuer and subject; the scopes are the known ones in the claim `scope` (RFC 8693).

    The key, not the token, determines the algorithm: `none`, or a public key used as an HMAC secret, is refused.

    Args:
        keys: finds the issuer's keys.
        issuer, audience: the required values of `iss` and `aud`.
    """

    mode: Final = "jwt"

    def __init__(self, keys: KeyFinder, *, issuer: str, audience: str) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience

    async def caller(self, authorization: str) -> Caller:
        """Return the subject of the token. Raises Problem 401, or Unavailable when the issuer does not answer."""
        token = token_in(authorization)
        try:
            claims = self._claims(token, await self._key(token))
            return Caller(owner=f"{self._issuer} {_subject(claims)}", scopes=_scopes(claims))
        except _UNREADABLE as error:
            _log.info("token_refused", reason=type(error).__name__)
            raise unknown_token() from None

    async def _key(self, token: str) -> jwt.PyJWK:
        header = jwt.get_unverified_header(token)
        kid = header.get("kid", "")
        key = await self._keys.key(kid) if isinstance(kid, str) else None
        if key is None:
            raise jwt.InvalidKeyError("no such key")
        if "crit" in header:  # RFC 7515 section 4.1.11: no critical extension is supported
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


def jwt_identities(settings: Settings) -> JwtIdentities:
    """Return the authentication that the settings `jwt_*` describe. Raises Misconfigured if they are incomplete."""
    if not settings.identity.jwt_issuer or not settings.identity.jwt_audience:
        raise Misconfigured("RESULTSTORE_AUTH=jwt needs RESULTSTORE_JWT_ISSUER and RESULTSTORE_JWT_AUDIENCE")
    secret = settings.identity.jwt_secret.encode()
    if bool(secret) == bool(settings.identity.jwt_jwks_url):
        raise Misconfigured("set exactly one of RESULTSTORE_JWT_JWKS_URL and RESULTSTORE_JWT_SECRET")
    keys: KeyFinder = SharedSecret(secret) if secret else JwksKeys(_check_url(settings.identity.jwt_jwks_url))
    return JwtIdentities(keys, issuer=settings.identity.jwt_issuer, audience=settings.identity.jwt_audience)


def _check_url(url: str) -> str:
    """Return `url` if it is https: an attacker who can change the keys in transit can forge tokens."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise Misconfigured("RESULTSTORE_JWT_JWKS_URL must be https")
    return url


def _subject(claims: Mapping[str, object]) -> str:
    subject = claims["sub"]
    if not isinstance(subject, str) or not subject.isprintable() or not 0 < len(subject) <= MAX_SUBJECT_CHARS:
        raise jwt.InvalidTokenError("invalid subject")
    return subject


def _scopes(claims: Mapping[str, object]) -> frozenset[str]:
    scope = claims.get("scope", "")
    return SCOPES & frozenset(scope.split()) if isinstance(scope, str) else frozenset()
