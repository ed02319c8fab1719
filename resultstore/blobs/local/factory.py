"""Factory of the scheme `file://`: makes the driver and the signer that settings describe."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from resultstore.blobs.local.driver import LocalBlobs
from resultstore.blobs.local.signer import LocalSigner, folder_secret
from resultstore.settings import Settings


def connect(settings: Settings) -> tuple[LocalBlobs, LocalSigner]:
    """Return the folder of `file:///folder` and the signer of its URLs, which the gateway serves."""
    folder = Path(unquote(urlsplit(settings.blobs.url).path))
    base_url = settings.local_bytes.url or f"http://{settings.local_bytes.host}:{settings.local_bytes.port}"
    secret = settings.security.secret_key.encode() or folder_secret(folder)
    blobs = LocalBlobs(folder, for_group=settings.blobs.for_group)
    return blobs, LocalSigner(secret, base_url, window_s=settings.urls.window_s)
