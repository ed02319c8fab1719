"""S3StoreOpener: opens obstore's S3Store for one bucket, with fresh credentials."""

from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Final, TypedDict

from resultstore.blobs.obstore.client import ClientOptions, RetryConfig
from resultstore.blobs.s3.certificates import for_obstore
from resultstore.blobs.s3.credentials import Credentials, CredentialSource
from resultstore.blobs.s3.target import S3Target

# obstore asks again five minutes before the end; botocore hands out temporary credentials that live ten minutes or more
# (botocore/credentials.py, _mandatory_refresh_timeout).
_CREDENTIALS_LIVE: Final = timedelta(minutes=10)


class _S3Credential(TypedDict):
    access_key_id: str
    secret_access_key: str
    token: str | None
    expires_at: datetime | None


class S3StoreOpener:
    """Opens the store of one bucket.

    Args:
        target: the bucket and how to reach it.
        credentials: returns the current access key.
    """

    def __init__(self, target: S3Target, credentials: CredentialSource) -> None:
        self._target = target
        self._credentials = credentials

    def __call__(self, library: ModuleType, retry_config: RetryConfig, client_options: ClientOptions) -> object:
        """Return an S3Store. Raises BlobStoreUnavailable when there are no credentials."""
        self._credentials()  # raises our error here; inside obstore a missing key would be hidden
        target, authorities = self._target, for_obstore()
        client_options["allow_http"] = target.origin.startswith("http://")
        if authorities is not None:
            client_options["root_certificate"] = authorities
        return library._store.S3Store(  # noqa: SLF001  obstore.store wraps this class with the functions that are called here
            target.bucket,
            endpoint=target.origin if target.path_style else target.in_host(target.origin),
            region=target.region,
            prefix=target.prefix or None,
            virtual_hosted_style_request=not target.path_style,
            unsigned_payload=True,
            checksum_algorithm="CRC64NVME",
            credential_provider=self._provide,
            retry_config=retry_config,
            client_options=client_options,
        )

    def _provide(self) -> _S3Credential:
        now = self._credentials()
        return {
            "access_key_id": now.access_key,
            "secret_access_key": now.secret_key,
            "token": now.session_token or None,
            "expires_at": _asked_again_at(now),
        }


def _asked_again_at(credentials: Credentials) -> datetime | None:
    """Return when obstore asks for credentials again; None for permanent ones."""
    soon = datetime.now(UTC) + _CREDENTIALS_LIVE
    if credentials.expires_at is not None:
        return min(soon, datetime.fromtimestamp(credentials.expires_at, UTC))
    return soon if credentials.session_token else None
