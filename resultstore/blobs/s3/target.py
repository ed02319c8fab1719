"""S3Target: which bucket, at which endpoint, below which prefix."""

import re
from urllib.parse import SplitResult, urlsplit

import msgspec

from resultstore.model.errors import Misconfigured

_PUBLIC_PATH = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)+")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class S3Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where the blobs are stored, as plain values.

    Args:
        bucket: the bucket's name.
        prefix: begins every key of resultstore, without slashes at its ends; "" for the whole bucket.
        endpoint_url: how this process reaches the store, `http(s)://host[:port]`; "" for AWS in `region`.
        public_endpoint_url: the endpoint in presigned URLs; "" for `endpoint_url`. It may have a path, which a proxy
            removes before it forwards to the store.
        region: the region that requests are signed for.
        path_style: the bucket is part of the path (MinIO), not of the host name.
        part_size_bytes: length of one part of a multipart upload, and of the largest single PUT.
    """

    bucket: str
    prefix: str = ""
    endpoint_url: str = ""
    public_endpoint_url: str = ""
    region: str = "us-east-1"
    path_style: bool = True
    part_size_bytes: int = 8 * 1024 * 1024

    def __post_init__(self) -> None:
        """Raise Misconfigured, naming the setting, for a value that makes no sense."""
        if not self.bucket:
            raise Misconfigured("RESULTSTORE_BLOBS_URL names no bucket: write s3://bucket/prefix")
        if self.prefix != self.prefix.strip("/") or "//" in self.prefix:
            raise Misconfigured(f"the prefix {self.prefix!r} in RESULTSTORE_BLOBS_URL has a slash too many")
        _origin(self.endpoint_url or "https://aws", setting="RESULTSTORE_S3_ENDPOINT")
        _ = self.public_origin, self.public_path

    @classmethod
    def at(cls, blobs_url: str, **values: str | bool | int) -> "S3Target":
        """Return the target of `s3://bucket/prefix`; `values` are the other fields. Raises Misconfigured."""
        parts = urlsplit(blobs_url)
        if parts.scheme != "s3" or parts.query or parts.fragment or "@" in parts.netloc:
            raise Misconfigured("RESULTSTORE_BLOBS_URL is no s3://bucket/prefix")
        return msgspec.convert({"bucket": parts.netloc, "prefix": parts.path.strip("/"), **values}, cls)

    @property
    def origin(self) -> str:
        """Return `scheme://host[:port]` for this process's own requests."""
        return _origin(self.endpoint_url or self._aws(), setting="RESULTSTORE_S3_ENDPOINT")

    @property
    def public_origin(self) -> str:
        """Return `scheme://host[:port]` for presigned URLs."""
        url = self._without_path() or self.endpoint_url or self._aws()
        return _origin(url, setting="RESULTSTORE_S3_PUBLIC_ENDPOINT")

    @property
    def public_path(self) -> str:
        """Return the path of the public endpoint, which a proxy removes: "" or "/minio", without a closing slash."""
        path = _split(self.public_endpoint_url).path.rstrip("/")
        if path and not _PUBLIC_PATH.fullmatch(path):
            raise Misconfigured(
                "the path of RESULTSTORE_S3_PUBLIC_ENDPOINT may have A-Z a-z 0-9 - _ ~ and dots, as in /minio or /a/b"
            )
        return path

    @property
    def where(self) -> str:
        """Return how errors name the bucket."""
        return f"bucket {self.bucket} at {self.origin}"

    def object_key(self, key: str) -> str:
        """Return the object's whole key in the bucket for a blob's `key` below the prefix."""
        return f"{self.prefix}/{key}" if self.prefix else key

    def in_host(self, origin: str) -> str:
        """Return `origin` with the bucket as the first label of its host name (virtual-hosted style)."""
        return origin.replace("://", f"://{self.bucket}.", 1)

    def _without_path(self) -> str:
        return _split(self.public_endpoint_url)._replace(path="").geturl()

    def _aws(self) -> str:
        suffix = ".cn" if self.region.startswith("cn-") else ""
        return f"https://s3.{self.region}.amazonaws.com{suffix}"


def _origin(url: str, *, setting: str) -> str:
    """Return `url` without a closing slash or its scheme's default port, which no client sends in `Host`."""
    try:
        parts = _split(url)
        port = parts.port
    except ValueError as error:
        raise Misconfigured(f"{setting} is not a URL: write http://host:port or https://host") from error
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or not _bare(parts):
        raise Misconfigured(f"{setting} must be http://host:port or https://host, without user, path or query")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port not in (None, _DEFAULT_PORTS[parts.scheme]) else "")


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # a bracket without its partner
        return SplitResult("", "", "", "", "")


def _bare(parts: SplitResult) -> bool:
    return parts.path in ("", "/") and not parts.query and not parts.fragment and "@" not in parts.netloc
