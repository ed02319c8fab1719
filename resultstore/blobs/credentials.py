"""Credentials: what signs requests to the object store."""

from collections.abc import Callable

import msgspec


class Credentials(msgspec.Struct, frozen=True):
    """One access key: id, secret, and the session token that temporary ones carry ("" for none)."""

    access_key: str
    secret_key: str
    session_token: str = ""

    def __repr__(self) -> str:
        """The access key's id alone: a secret never reaches a log."""
        return f"Credentials({self.access_key!r})"


CredentialSource = Callable[[], Credentials]
