"""Chain: finds credentials as boto3 does: in the environment, in a profile, in a container, by an instance role."""

import os
from collections.abc import Mapping

from resultstore.blobs.s3.credentials import Credentials, CredentialSource
from resultstore.telemetry.redaction import Secret


class CredentialChain:
    """Answers with the credentials of this moment; boto3 renews temporary ones before they end.

    The chain is asked once per process: environment, profile, container, instance role.

    Args:
        profile: the profile to ask alone; "" for the whole chain.
    """

    def __init__(self, profile: str = "") -> None:
        self._profile = profile
        self._found: tuple[int, CredentialSource] | None = None

    def __call__(self) -> Credentials:
        """The credentials now. Raises BlobStoreUnavailable when the chain finds none or cannot renew them."""
        if self._found is None or self._found[0] != os.getpid():
            self._found = (os.getpid(), self._source())
        return self._found[1]()

    def _source(self) -> CredentialSource:
        plain = None if self._profile else _of_environment(os.environ)
        if plain is not None:
            return lambda: plain
        # boto3 is 10 MiB and a quarter of a second: whoever has plain keys in the environment never needs it here.
        from resultstore.blobs.s3.boto_credentials import BotoCredentials  # noqa: PLC0415 - the same

        return BotoCredentials(self._profile)


def _of_environment(variables: Mapping[str, str]) -> Credentials | None:
    """What the first provider of boto3's chain finds, where it is a plain pair that stays; else None."""
    pair = variables.get("AWS_ACCESS_KEY_ID", ""), Secret(variables.get("AWS_SECRET_ACCESS_KEY", ""))
    if not all(pair) or "AWS_CREDENTIAL_EXPIRATION" in variables or "AWS_SECURITY_TOKEN" in variables:
        return None
    return Credentials(*pair, variables.get("AWS_SESSION_TOKEN", ""))
