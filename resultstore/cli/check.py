"""Check: fetches an Artifact as any client would, and compares what came with what was promised."""

import hashlib

import httpx
import msgspec

from resultstore.gateway.views import artifact_path
from resultstore.model.artifact import Artifact

FETCH_LIMIT_S = 30.0


class UrlCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What came from one URL; `fault` is "" when it is what was promised."""

    id: str
    name: str
    size_bytes: int
    sha256: str
    fault: str

    @property
    def ok(self) -> bool:
        """Whether size and digest are those of the Artifact."""
        return not self.fault


def fetch(artifact: Artifact, *, gateway_url: str) -> UrlCheck:
    """Follow the gateway's link to the bytes, streaming them through sha256."""
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
        return f"{size_bytes} bytes came, {artifact.size_bytes} were promised"
    return "" if sha256 == artifact.sha256 else "the sha256 differs"
