"""Credentials: one access key for the object store, with its secret."""

from collections.abc import Callable

import msgspec

from resultstore.telemetry.redaction import Secret


class Credentials(msgspec.Struct, frozen=True):
    """One access key.

    Args:
        access_key: its id.
        secret_key: its secret.
        session_token: the token of temporary credentials; "" for permanent ones.
        expires_at: when temporary credentials expire, in seconds since the epoch; None if that is not known.
    """

    access_key: str
    secret_key: str
    session_token: str = ""
    expires_at: float | None = None

    def __post_init__(self) -> None:
        """Convert the secret fields to Secret."""
        msgspec.structs.force_setattr(self, "secret_key", Secret(self.secret_key))
        msgspec.structs.force_setattr(self, "session_token", Secret(self.session_token))

    def __repr__(self) -> str:
        """Return the id only: a secret never reaches a log."""
        return f"Credentials({self.access_key!r})"


CredentialSource = Callable[[], Credentials]
