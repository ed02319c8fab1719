"""`identities_of` and the start-up checks of the authentication settings."""

from pathlib import Path

from resultstore.gateway.identity.caller import Identities
from resultstore.gateway.identity.jwts import jwt_identities
from resultstore.gateway.identity.open_mode import OpenMode
from resultstore.gateway.identity.static_tokens import StaticTokens
from resultstore.gateway.middleware.loopback_only import is_loopback
from resultstore.model.errors import Misconfigured
from resultstore.settings import Settings


def identities_of(settings: Settings) -> Identities:
    """Return the authentication that `RESULTSTORE_AUTH` names. Raises Misconfigured if a setting for it is missing."""
    match settings.identity.auth:
        case "tokens":
            if not settings.identity.tokens_file:
                raise Misconfigured("RESULTSTORE_AUTH=tokens needs RESULTSTORE_AUTH_TOKENS_FILE")
            return StaticTokens(Path(settings.identity.tokens_file))
        case "jwt":
            return jwt_identities(settings)
        case "open":
            return OpenMode()


def check_key(settings: Settings, *, mode: str) -> None:
    """Raise Misconfigured if callers authenticate but no secret key protects references against forgery."""
    if mode != "open" and not settings.security.secret_key:
        raise Misconfigured(
            "callers who authenticate (RESULTSTORE_AUTH other than open, or create_app(identify=...)) need "
            "RESULTSTORE_SECRET_KEY, the same as in the workers"
        )


def check_exposure(settings: Settings, *, host: str, mode: str) -> None:
    """Check that a gateway that authenticates by `mode` may listen on `host`.

    Raises Misconfigured if other machines could reach a gateway in open mode, and as `check_key` does.
    """
    if mode == "open" and not is_loopback(host):
        raise Misconfigured(
            f"RESULTSTORE_AUTH=open would let anyone who reaches {host} in: set RESULTSTORE_AUTH to tokens or jwt, "
            "or RESULTSTORE_GATEWAY_HOST to 127.0.0.1"
        )
    check_key(settings, mode=mode)
