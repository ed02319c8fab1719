"""Connect: makes a Store from settings, with the driver that each URL's scheme names."""

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

from resultstore.blobs.blobstore import BlobStore, Signer
from resultstore.index.index import Index
from resultstore.model.artifact_html import use_previews
from resultstore.model.errors import Misconfigured
from resultstore.settings import Settings
from resultstore.store import Store
from resultstore.store.previews import NotebookPreviews

if TYPE_CHECKING:
    from resultstore.blobs.s3.bucket import S3Bucket
    from resultstore.blobs.s3.forgery import ForgedRequests
    from resultstore.blobs.s3.minio_admin import MinioServer
    from resultstore.blobs.s3.probe import S3Probes

# The drivers: one line for each URL scheme, with the function that connects it. It is imported when a URL names it.
# Other packages add schemes by entry points of these groups (docs/how-to/write-a-driver.md).
BLOB_DRIVERS: Final[Mapping[str, str]] = {
    "s3": "resultstore.blobs.s3.factory:connect",
    "file": "resultstore.blobs.local.factory:connect",
    "memory": "resultstore.blobs.memory:connect",
}
INDEX_DRIVERS: Final[Mapping[str, str]] = {
    "redis": "resultstore.index.redis.factory:connect",
    "rediss": "resultstore.index.redis.factory:connect",
    "unix": "resultstore.index.redis.factory:connect",
    "sentinel": "resultstore.index.redis.factory:connect",
    "redis-cluster": "resultstore.index.redis.factory:connect",
    "rediss-cluster": "resultstore.index.redis.factory:connect",
    "memory": "resultstore.index.memory.factory:connect",
}
BLOB_GROUP: Final = "resultstore.blobs"
INDEX_GROUP: Final = "resultstore.index"


def connect(settings: Settings | None = None, *, redis_options: Mapping[str, object] | None = None) -> Store:
    """Return the Store that `settings` describe, by default those of the RESULTSTORE_* variables.

    Sends no request yet.

    Args:
        settings: where the servers are, and the limits that apply.
        redis_options: redis-py's arguments of a connection (TLS, a credential provider ...) beyond what a URL can say.

    Raises Misconfigured, naming the setting, when no driver serves the scheme of a URL.
    """
    chosen = settings or Settings()
    blobs, signer = _connect_blobs(chosen)
    store = Store(index=_connect_index(chosen, redis_options), blobs=blobs, signer=signer, settings=chosen)
    use_previews(NotebookPreviews(store.ranges, gateway_url=chosen.gateway.url))
    return store


def connect_bucket(settings: Settings) -> "S3Bucket | None":
    """Return the control plane of the bucket, or None if blobs are not in a bucket. Sends no request yet."""
    if not _is_s3(settings):
        return None
    from resultstore.blobs.s3.bucket import S3Bucket
    from resultstore.blobs.s3.factory import target_of

    return S3Bucket(target_of(settings))


def connect_minio(settings: Settings) -> "MinioServer":
    """Return the administration of the MinIO that the settings name. Sends no request yet. Raises Misconfigured."""
    if not _is_s3(settings) or not settings.s3.endpoint:
        raise Misconfigured(
            "no MinIO is named: set RESULTSTORE_BLOBS_URL to s3://bucket/prefix and RESULTSTORE_S3_ENDPOINT"
        )
    from resultstore.blobs.s3.credential_chain import CredentialChain
    from resultstore.blobs.s3.factory import target_of
    from resultstore.blobs.s3.minio_admin import MinioServer

    return MinioServer(target_of(settings), credentials=CredentialChain())


def connect_probes(settings: Settings) -> "S3Probes | None":
    """Return the probes of what the bucket's store keeps, or None if blobs are not in a bucket. Sends no request."""
    if not _is_s3(settings):
        return None
    from resultstore.blobs.s3.bucket import S3Bucket
    from resultstore.blobs.s3.credential_chain import CredentialChain
    from resultstore.blobs.s3.driver import S3Blobs
    from resultstore.blobs.s3.factory import target_of
    from resultstore.blobs.s3.probe import S3Probes

    target = target_of(settings)
    return S3Probes(S3Bucket(target), S3Blobs(target), credentials=CredentialChain())


def connect_forgers(settings: Settings) -> "Mapping[str, ForgedRequests]":
    """Return ForgedRequests for each access key that signs URLs, by purpose; empty if blobs are not in a bucket."""
    if not _is_s3(settings):
        return {}
    from resultstore.blobs.s3.credential_chain import CredentialChain
    from resultstore.blobs.s3.factory import signing_credentials, target_of
    from resultstore.blobs.s3.forgery import ForgedRequests

    uploads, reads = signing_credentials(settings, default=CredentialChain())
    signers = {"uploads and reads": uploads} if uploads is reads else {"uploads": uploads, "reads": reads}
    return {name: ForgedRequests(target_of(settings), credentials=source) for name, source in signers.items()}


def _is_s3(settings: Settings) -> bool:
    return urlsplit(settings.blobs.url).scheme == "s3"


def _connect_blobs(settings: Settings) -> tuple[BlobStore | None, Signer | None]:
    if not urlsplit(settings.blobs.url).scheme:
        return None, None
    factory = _factory(settings.blobs.url, BLOB_DRIVERS, group=BLOB_GROUP, setting="RESULTSTORE_BLOBS_URL")
    return cast("Callable[[Settings], tuple[BlobStore, Signer | None]]", factory)(settings)


def _connect_index(settings: Settings, options: Mapping[str, object] | None) -> Index:
    factory = _factory(settings.index.url, INDEX_DRIVERS, group=INDEX_GROUP, setting="RESULTSTORE_INDEX_URL")
    return cast("Callable[..., Index]", factory)(settings, options=options)


def _factory(url: str, drivers: Mapping[str, str], *, group: str, setting: str) -> object:
    """Return the function that connects `url`: one of ours, or one that an installed package brings."""
    scheme = urlsplit(url).scheme
    if scheme in drivers:
        return EntryPoint(scheme, drivers[scheme], group).load()
    brought = {one.name: one for one in entry_points(group=group)}
    if scheme not in brought:
        known = ", ".join(f"{name}://" for name in (*drivers, *sorted(brought.keys() - drivers.keys())))
        raise Misconfigured(f"{setting} has the scheme {scheme!r}, which no driver serves: use one of {known}")
    return brought[scheme].load()
