"""Credentials: what signs requests to the object store, found by boto3's provider chain."""

import os
from collections.abc import Callable

import boto3.session
import botocore.credentials
import botocore.exceptions
import msgspec

from resultstore.model.errors import BlobStoreUnavailable, Misconfigured

_REMEDY = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role"


class Credentials(msgspec.Struct, frozen=True):
    """One access key: id, secret, and the session token that temporary ones carry ("" for none)."""

    access_key: str
    secret_key: str
    session_token: str = ""

    def __repr__(self) -> str:
        """The access key's id alone: a secret never reaches a log."""
        return f"Credentials({self.access_key!r})"


CredentialSource = Callable[[], Credentials]


class CredentialChain:
    """Answers with the credentials of this moment; boto3 renews temporary ones before they end.

    The chain is asked once per process: environment, profile, container, instance role.

    Args:
        profile: the profile to ask alone; "" for the whole chain.
    """

    def __init__(self, profile: str = "") -> None:
        self._profile = profile
        self._found: tuple[int, botocore.credentials.Credentials] | None = None

    def __call__(self) -> Credentials:
        """The credentials now. Raises BlobStoreUnavailable when the chain finds none or cannot renew them."""
        try:
            frozen = self._provider().get_frozen_credentials()
        except botocore.exceptions.BotoCoreError as error:
            raise BlobStoreUnavailable(
                f"the credentials of the object store cannot be had: {error}; {_REMEDY}"
            ) from error
        if not frozen.access_key or not frozen.secret_key:
            raise BlobStoreUnavailable(f"the credentials of the object store are empty: {_REMEDY}")
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token or "")

    def _provider(self) -> botocore.credentials.Credentials:
        if self._found is None or self._found[0] != os.getpid():
            found = self._session().get_credentials()
            if found is None:
                raise BlobStoreUnavailable(f"no credentials for the object store were found: {_REMEDY}")
            self._found = (os.getpid(), found)
        return self._found[1]

    def _session(self) -> boto3.session.Session:
        try:
            return boto3.session.Session(profile_name=self._profile or None)
        except botocore.exceptions.ProfileNotFound as error:
            raise Misconfigured(f"{error}: see RESULTSTORE_S3_SIGN_PROFILE and AWS_PROFILE") from error
