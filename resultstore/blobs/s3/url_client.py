"""URL client: uses presigned URLs as a client does, to find out what the store answers."""

import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from resultstore.blobs.blobstore import SignedUrl
from resultstore.blobs.s3.certificates import tls_context

_TIMEOUT_S: Final = 10.0


def status_of(signed: SignedUrl, *, body: bytes | None, more: Mapping[str, str]) -> int:
    """Return the status of the request that was signed, sent with `more` headers. Raises OSError without an answer."""
    # S310: S3Target allows http:// and https:// only.
    request = urllib.request.Request(  # noqa: S310
        signed.url, data=body, headers={**signed.headers, **more}, method=signed.method
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S, context=_context(signed.url)) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code


def send_half(signed: SignedUrl) -> None:
    """Send the signed request with half of the body that its length announces, and close the connection."""
    parts = urlsplit(signed.url)
    connection = connect_to(parts.scheme, parts.netloc)
    try:
        connection.putrequest("PUT", f"{parts.path}?{parts.query}")
        for name, value in signed.headers.items():
            connection.putheader(name, value)
        connection.endheaders(bytes(int(signed.headers["content-length"]) // 2))
    finally:
        connection.close()


def connect_to(scheme: str, place: str) -> http.client.HTTPConnection:
    """Return a connection to `host[:port]`, which opens with its first request."""
    if scheme == "https":
        return http.client.HTTPSConnection(place, timeout=_TIMEOUT_S, context=tls_context())
    return http.client.HTTPConnection(place, timeout=_TIMEOUT_S)


def _context(url: str) -> ssl.SSLContext | None:
    return tls_context() if url.startswith("https:") else None
