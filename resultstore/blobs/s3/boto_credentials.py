"""Providers: what boto3's provider chain finds: profile, container, instance role."""

from datetime import datetime

import boto3.session
import botocore.exceptions

from resultstore.blobs.s3.credentials import Credentials
from resultstore.model.errors import BlobStoreUnavailable, Misconfigured

_REMEDY = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role"


class BotoCredentials:
    """Answers with the credentials of this moment; boto3 renews temporary ones before they end.

    Args:
        profile: the profile to ask alone; "" for the whole chain.

    Raises BlobStoreUnavailable where it finds none, Misconfigured for a profile that does not exist.
    """

    def __init__(self, profile: str) -> None:
        try:
            session = boto3.session.Session(profile_name=profile or None)
        except botocore.exceptions.ProfileNotFound as error:
            raise Misconfigured(
                f"{error}: see RESULTSTORE_S3_SIGN_PROFILE, RESULTSTORE_S3_UPLOAD_SIGN_PROFILE and AWS_PROFILE"
            ) from error
        try:
            found = session.get_credentials()
        except botocore.exceptions.BotoCoreError as error:  # half of a pair, a role that cannot be assumed
            raise _not_had(error) from error
        if found is None:
            raise BlobStoreUnavailable(f"no credentials for the object store were found: {_REMEDY}")
        self._found = found

    def __call__(self) -> Credentials:
        """The credentials now. Raises BlobStoreUnavailable when they cannot be renewed."""
        try:
            while True:  # another thread may renew them between two looks
                end = self._end()
                frozen = self._found.get_frozen_credentials()
                if end == self._end():
                    break
        except botocore.exceptions.BotoCoreError as error:
            raise _not_had(error) from error
        if not frozen.access_key or not frozen.secret_key:
            raise BlobStoreUnavailable(f"the credentials of the object store are empty: {_REMEDY}")
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token or "", end)

    def _end(self) -> float | None:
        """When they end; None for those that stay. botocore has no public name for it (credentials.py, 428)."""
        end: datetime | None = getattr(self._found, "_expiry_time", None)
        return None if end is None else end.timestamp()


def _not_had(error: Exception) -> BlobStoreUnavailable:
    return BlobStoreUnavailable(f"the credentials of the object store cannot be had: {error}; {_REMEDY}")
