"""BotoCredentials: credentials from boto3's provider chain (profile, container, instance role)."""

from datetime import datetime

import boto3.session
import botocore.exceptions

from resultstore.blobs.s3.credentials import Credentials
from resultstore.model.errors import BlobStoreUnavailable, Misconfigured

_REMEDY = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role"


class BotoCredentials:
    """Returns the current credentials; boto3 renews temporary ones before they expire.

    Args:
        profile: the only profile to ask; "" for the whole chain.

    Raises BlobStoreUnavailable when it finds none, Misconfigured for a profile that does not exist.
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
            raise _unavailable(error) from error
        if found is None:
            raise BlobStoreUnavailable(f"no credentials for the object store were found: {_REMEDY}")
        self._found = found

    def __call__(self) -> Credentials:
        """Return the current credentials. Raises BlobStoreUnavailable when they cannot be renewed."""
        try:
            while True:  # another thread may renew them between two reads
                end = self._end()
                frozen = self._found.get_frozen_credentials()
                if end == self._end():
                    break
        except botocore.exceptions.BotoCoreError as error:
            raise _unavailable(error) from error
        if not frozen.access_key or not frozen.secret_key:
            raise BlobStoreUnavailable(f"the credentials of the object store are empty: {_REMEDY}")
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token or "", end)

    def _end(self) -> float | None:
        """Return when they expire, or None. botocore has no public name for it (credentials.py, 428)."""
        end: datetime | None = getattr(self._found, "_expiry_time", None)
        return None if end is None else end.timestamp()


def _unavailable(error: Exception) -> BlobStoreUnavailable:
    return BlobStoreUnavailable(f"the credentials of the object store are not available: {error}; {_REMEDY}")
