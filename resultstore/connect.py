"""Connect: makes a Store from settings. The only file that knows the drivers' names."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from resultstore.blobs.blobstore import BlobStore, Signer
from resultstore.index.index import Index
from resultstore.model.errors import Misconfigured
from resultstore.settings import Settings
from resultstore.store import Store

if TYPE_CHECKING:
    from resultstore.blobs.s3.bucket import S3Bucket
    from resultstore.blobs.s3.credentials import CredentialSource
    from resultstore.blobs.s3.forgery import ForgedRequests
    from resultstore.blobs.s3.minio_admin import MinioServer
    from resultstore.blobs.s3.probe import S3Probes
    from resultstore.blobs.s3.target import S3Target


def connect(settings: Settings | None = None, *, redis_options: Mapping[str, object] | None = None) -> Store:
    """The Store that `settings` describe, by default those of the RESULTSTORE_* variables. Makes no request yet.

    Args:
        settings: where the servers are, and the limits that hold.
        redis_options: redis-py's arguments of a connection (TLS, a credential provider ...) beyond what a URL can say.

    Raises Misconfigured, naming the setting, when a URL is not one that a driver takes.
    """
    chosen = settings or Settings()
    blobs, signer = _blobs(chosen)
    return Store(index=_index(chosen, redis_options), blobs=blobs, signer=signer, settings=chosen)


def connect_bucket(settings: Settings) -> "S3Bucket | None":
    """The control plane of the bucket that `settings` name; None where blobs stand elsewhere. Makes no request yet."""
    if urlsplit(settings.blobs.url).scheme != "s3":
        return None
    from resultstore.blobs.s3.bucket import S3Bucket

    return S3Bucket(_target(settings))


def connect_minio(settings: Settings) -> "MinioServer":
    """The MinIO of these settings, as an administrator sees it. Makes no request yet. Raises Misconfigured."""
    if urlsplit(settings.blobs.url).scheme != "s3" or not settings.s3.endpoint:
        raise Misconfigured(
            "no MinIO is named: set RESULTSTORE_BLOBS_URL to s3://bucket/prefix and RESULTSTORE_S3_ENDPOINT"
        )
    from resultstore.blobs.s3.credential_chain import CredentialChain
    from resultstore.blobs.s3.minio_admin import MinioServer

    return MinioServer(_target(settings), credentials=CredentialChain())


def connect_probes(settings: Settings) -> "S3Probes | None":
    """What finds out what the bucket's store really keeps; None where blobs stand elsewhere. Makes no request yet."""
    if urlsplit(settings.blobs.url).scheme != "s3":
        return None
    from resultstore.blobs.s3.bucket import S3Bucket
    from resultstore.blobs.s3.credential_chain import CredentialChain
    from resultstore.blobs.s3.driver import S3Blobs
    from resultstore.blobs.s3.probe import S3Probes

    target = _target(settings)
    return S3Probes(S3Bucket(target), S3Blobs(target), credentials=CredentialChain())


def connect_forgers(settings: Settings) -> "Mapping[str, ForgedRequests]":
    """Return ForgedRequests for each access key that URLs name, by purpose; nothing where blobs are not in a bucket."""
    if urlsplit(settings.blobs.url).scheme != "s3":
        return {}
    from resultstore.blobs.s3.credential_chain import CredentialChain
    from resultstore.blobs.s3.forgery import ForgedRequests

    own = CredentialChain()
    signers = {"uploads": _uploaders(settings) or own, "reads": _readers(settings) or own}
    if signers["uploads"] is signers["reads"]:
        signers = {"uploads and reads": own}
    return {name: ForgedRequests(_target(settings), credentials=source) for name, source in signers.items()}


def _blobs(settings: Settings) -> tuple[BlobStore | None, Signer | None]:
    url = urlsplit(settings.blobs.url)
    match url.scheme:
        case "":
            return None, None
        case "memory":
            from resultstore.blobs.memory import MemoryBlobs

            return MemoryBlobs(), None
        case "file":
            return _local(Path(unquote(url.path)), settings)
        case "s3":
            return _s3(settings)
        case other:
            raise Misconfigured(
                f"RESULTSTORE_BLOBS_URL has the scheme {other!r}: use s3://bucket/prefix, file:///folder or memory://"
            )


def _local(folder: Path, settings: Settings) -> tuple[BlobStore, Signer]:
    from resultstore.blobs.local.driver import LocalBlobs
    from resultstore.blobs.local.signer import LocalSigner, folder_secret

    base_url = settings.local_bytes.url or f"http://{settings.local_bytes.host}:{settings.local_bytes.port}"
    secret = settings.security.secret_key.encode() or folder_secret(folder)
    blobs = LocalBlobs(folder, for_group=settings.blobs.for_group)
    return blobs, LocalSigner(secret, base_url, window_s=settings.urls.window_s)


def _s3(settings: Settings) -> tuple[BlobStore, Signer]:
    from resultstore.blobs.s3.clock import near
    from resultstore.blobs.s3.credential_chain import CredentialChain
    from resultstore.blobs.s3.driver import S3Blobs
    from resultstore.blobs.s3.signer import S3Signer

    target, chain = _target(settings), CredentialChain()
    blobs = S3Blobs(target, credentials=chain)
    signer = S3Signer(
        target,
        credentials=_uploaders(settings) or chain,
        read_credentials=_readers(settings) or chain,
        now=near(blobs.now),
        window_s=settings.urls.window_s,
    )
    return blobs, signer


def _readers(settings: Settings) -> "CredentialSource | None":
    """What signs URLs to read where that is another identity than the process's own."""
    return _identity(
        settings.s3.sign_access_key, settings.s3.sign_secret_key, profile=settings.s3.sign_profile, name="S3_SIGN"
    )


def _uploaders(settings: Settings) -> "CredentialSource | None":
    """What signs URLs to upload where that is another identity than the process's own."""
    return _identity(
        settings.s3.upload_sign_access_key,
        settings.s3.upload_sign_secret_key,
        profile=settings.s3.upload_sign_profile,
        name="S3_UPLOAD_SIGN",
    )


def _identity(access_key: str, secret_key: str, *, profile: str, name: str) -> "CredentialSource | None":
    from resultstore.blobs.s3.credential_chain import CredentialChain
    from resultstore.blobs.s3.credentials import Credentials

    if bool(access_key) != bool(secret_key):
        raise Misconfigured(f"RESULTSTORE_{name}_ACCESS_KEY and RESULTSTORE_{name}_SECRET_KEY go together: set both")
    if secret_key:
        pair = Credentials(access_key, secret_key)
        return lambda: pair
    return CredentialChain(profile) if profile else None


def _target(settings: Settings) -> "S3Target":
    from resultstore.blobs.s3.target import S3Target

    url = urlsplit(settings.blobs.url)
    if not url.netloc:
        raise Misconfigured("RESULTSTORE_BLOBS_URL names no bucket: write s3://bucket or s3://bucket/prefix")
    return S3Target(
        bucket=url.netloc,
        prefix=url.path.strip("/"),
        endpoint_url=settings.s3.endpoint,
        public_endpoint_url=settings.s3.public_endpoint or settings.s3.endpoint,
        region=settings.s3.region,
        path_style=settings.s3.path_style,
        part_size_bytes=settings.blobs.part_size_bytes,
    )


def _index(settings: Settings, redis_options: Mapping[str, object] | None) -> Index:
    match urlsplit(settings.index.url).scheme:
        case "memory":
            from resultstore.index.memory.driver import MemoryIndex

            return MemoryIndex()
        case "redis" | "rediss" | "unix" | "sentinel" | "redis-cluster" | "rediss-cluster":
            from resultstore.index.redis.driver import RedisIndex

            return RedisIndex(settings.index.url, prefix=settings.index.key_prefix, options=redis_options)
        case other:
            raise Misconfigured(
                f"RESULTSTORE_INDEX_URL has the scheme {other!r}: "
                "use redis://, rediss://, unix://, sentinel://, redis-cluster://, rediss-cluster:// or memory://"
            )
