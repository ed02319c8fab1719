"""Identities: chooses how callers are recognised, and refuses to be open to more than this machine."""

from pathlib import Path

from resultstore.gateway.identity.caller import Identities
from resultstore.gateway.identity.jwts import jwts_of
from resultstore.gateway.identity.open_mode import OpenMode
from resultstore.gateway.identity.static_tokens import StaticTokens
from resultstore.gateway.middleware.loopback_only import is_loopback
from resultstore.model.errors import Misconfigured
from resultstore.settings import Settings


def identities_of(settings: Settings) -> Identities:
    """What `RESULTSTORE_AUTH` names. Raises Misconfigured, naming the setting, when it lacks something."""
    match settings.identity.auth:
        case "tokens":
            if not settings.identity.tokens_file:
                raise Misconfigured("RESULTSTORE_AUTH=tokens needs RESULTSTORE_AUTH_TOKENS_FILE")
            return StaticTokens(Path(settings.identity.tokens_file))
        case "jwt":
            return jwts_of(settings)
        case "open":
            return OpenMode()


def check_key(settings: Settings) -> None:
    """Raise Misconfigured where a gateway that asks for tokens could not tell its own references from forged ones."""
    if settings.identity.auth != "open" and not settings.security.secret_key:
        raise Misconfigured("the gateway needs RESULTSTORE_SECRET_KEY, the same as its workers'")


def check_exposure(settings: Settings, *, host: str) -> None:
    """Whether the gateway may listen on `host` at all.

    Raises Misconfigured where strangers could reach one that asks for no token, and where one that does has no key
    to tell its own references from forged ones.
    """
    if settings.identity.auth == "open" and not is_loopback(host):
        raise Misconfigured(
            f"the gateway would be open to everybody who reaches {host}: set RESULTSTORE_AUTH to tokens or jwt, "
            "or RESULTSTORE_GATEWAY_HOST to 127.0.0.1"
        )
    check_key(settings)
