"""Credentials: what signs requests to the object store."""

from collections.abc import Callable

import msgspec

from resultstore.telemetry.redaction import Secret


class Credentials(msgspec.Struct, frozen=True):
    """One access key.

    Args:
        access_key: its id.
        secret_key: its secret.
        session_token: what temporary ones carry; "" for none.
        expires_at: when temporary ones end, in seconds since the epoch; None where that is not known.
    """

    access_key: str
    secret_key: str
    session_token: str = ""
    expires_at: float | None = None

    def __post_init__(self) -> None:
        """Keep what is secret as Secrets, wherever it came from."""
        msgspec.structs.force_setattr(self, "secret_key", Secret(self.secret_key))
        msgspec.structs.force_setattr(self, "session_token", Secret(self.session_token))

    def __repr__(self) -> str:
        """The access key's id alone: a secret never reaches a log."""
        return f"Credentials({self.access_key!r})"


CredentialSource = Callable[[], Credentials]
