"""CredentialChain: finds credentials as boto3 does (environment, profile, container, instance role)."""

import os
from collections.abc import Mapping

from resultstore.blobs.s3.credentials import Credentials, CredentialSource
from resultstore.telemetry.redaction import Secret


class CredentialChain:
    """Returns the current credentials; boto3 renews temporary ones before they expire.

    The chain is asked once per process: environment, profile, container, instance role.

    Args:
        profile: the only profile to ask; "" for the whole chain.
    """

    def __init__(self, profile: str = "") -> None:
        self._profile = profile
        self._found: tuple[int, CredentialSource] | None = None

    def __call__(self) -> Credentials:
        """Return the current credentials. Raises BlobStoreUnavailable when there are none or they cannot be renewed."""
        if self._found is None or self._found[0] != os.getpid():
            self._found = (os.getpid(), self._source())
        return self._found[1]()

    def _source(self) -> CredentialSource:
        plain = None if self._profile else _of_environment(os.environ)
        if plain is not None:
            return lambda: plain
        # boto3 takes 10 MiB and a quarter of a second; plain keys in the environment do not need it.
        from resultstore.blobs.s3.boto_credentials import BotoCredentials  # noqa: PLC0415 - the same

        return BotoCredentials(self._profile)


def _of_environment(variables: Mapping[str, str]) -> Credentials | None:
    """Return the permanent pair that the first provider of boto3's chain finds; None for anything else."""
    pair = variables.get("AWS_ACCESS_KEY_ID", ""), Secret(variables.get("AWS_SECRET_ACCESS_KEY", ""))
    if not all(pair) or "AWS_CREDENTIAL_EXPIRATION" in variables or "AWS_SECURITY_TOKEN" in variables:
        return None
    return Credentials(*pair, variables.get("AWS_SESSION_TOKEN", ""))
