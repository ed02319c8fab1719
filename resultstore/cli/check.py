"""The check of an Artifact by URL: downloads it as a client would, and compares size and sha256."""

import hashlib

import httpx
import msgspec

from resultstore.gateway.views import artifact_path
from resultstore.model.artifact import Artifact

FETCH_LIMIT_S = 30.0


class UrlCheck(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one download; `fault` is "" when size and sha256 are right."""

    id: str
    name: str
    size_bytes: int
    sha256: str
    fault: str

    @property
    def ok(self) -> bool:
        """Return True when size and digest are those of the Artifact."""
        return not self.fault


def fetch(artifact: Artifact, *, gateway_url: str) -> UrlCheck:
    """Download `artifact` through the gateway's redirect, hashing it as it streams."""
    digest, size_bytes, fault = hashlib.sha256(), 0, ""
    try:
        with httpx.stream(
            "GET", gateway_url + artifact_path(artifact.id, artifact.name), follow_redirects=True, timeout=FETCH_LIMIT_S
        ) as answer:
            fault = "" if answer.is_success else f"HTTP {answer.status_code}"
            for chunk in answer.iter_raw():
                digest.update(chunk)
                size_bytes += len(chunk)
    except httpx.HTTPError as error:
        fault = f"{type(error).__name__}: {error}".partition("?")[0]  # never a signature
    return UrlCheck(
        id=artifact.id,
        name=artifact.name,
        size_bytes=size_bytes,
        sha256=digest.hexdigest(),
        fault=fault or _difference(artifact, size_bytes=size_bytes, sha256=digest.hexdigest()),
    )


def _difference(artifact: Artifact, *, size_bytes: int, sha256: str) -> str:
    if size_bytes != artifact.size_bytes:
        return f"{size_bytes} bytes received, {artifact.size_bytes} expected"
    return "" if sha256 == artifact.sha256 else "the sha256 differs"
