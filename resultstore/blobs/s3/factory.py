"""Factory of the scheme `s3://`: makes the driver, the signer and the identities that settings describe."""

from urllib.parse import urlsplit

from resultstore.blobs.s3.clock import require_small_skew
from resultstore.blobs.s3.credential_chain import CredentialChain
from resultstore.blobs.s3.credentials import Credentials, CredentialSource
from resultstore.blobs.s3.driver import S3Blobs
from resultstore.blobs.s3.signer import S3Signer
from resultstore.blobs.s3.target import S3Target
from resultstore.model.errors import Misconfigured
from resultstore.settings import Settings


def connect(settings: Settings) -> tuple[S3Blobs, S3Signer]:
    """Return the bucket of `s3://bucket/prefix` and the signer of its URLs. Sends no request yet."""
    own = CredentialChain()
    blobs = S3Blobs(target_of(settings), credentials=own)
    uploads, reads = signing_credentials(settings, default=own)
    signer = S3Signer(
        target_of(settings),
        credentials=uploads,
        read_credentials=reads,
        now=require_small_skew(blobs.now),
        window_s=settings.urls.window_s,
    )
    return blobs, signer


def target_of(settings: Settings) -> S3Target:
    """Return the bucket and its endpoints. Raises Misconfigured when the URL names no bucket."""
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


def signing_credentials(settings: Settings, *, default: CredentialSource) -> tuple[CredentialSource, CredentialSource]:
    """Return the identities that sign URLs to upload and to read; `default` where the settings name none."""
    s3 = settings.s3
    uploads = _identity(
        s3.upload_sign_access_key, s3.upload_sign_secret_key, profile=s3.upload_sign_profile, name="S3_UPLOAD_SIGN"
    )
    reads = _identity(s3.sign_access_key, s3.sign_secret_key, profile=s3.sign_profile, name="S3_SIGN")
    return uploads or default, reads or default


def _identity(access_key: str, secret_key: str, *, profile: str, name: str) -> CredentialSource | None:
    if bool(access_key) != bool(secret_key):
        raise Misconfigured(f"RESULTSTORE_{name}_ACCESS_KEY and RESULTSTORE_{name}_SECRET_KEY go together: set both")
    if secret_key:
        pair = Credentials(access_key, secret_key)
        return lambda: pair
    return CredentialChain(profile) if profile else None
