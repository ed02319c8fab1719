"""Downloads: a file from the object store, resumed after a broken connection, verified before it is in place."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO, Final

import httpx
import zstandard

from resultstore.client.answers import RemoteArtifact
from resultstore.client.requests import TRIES, GatewayUnavailable, RequestRefused
from resultstore.model.errors import ChecksumMismatch

_READ_BYTES: Final = 1024 * 1024
_FRAMES_BYTES: Final = 64 * 1024  # of headers and the seek table; incompressible content grows by less than 1/128
_ZSTD: Final = "application/zstd"

Report = Callable[[int, int], None]


def download(
    http: httpx.Client,
    artifact: RemoteArtifact,
    target: Path,
    *,
    link: Callable[[], str],
    report: Report | None = None,
) -> None:
    """Download an Artifact to `target`, which is replaced when all bytes have been verified.

    Args:
        http: sends requests to the object store.
        artifact: the Artifact, with its size and digest.
        target: the file to write.
        link: returns a new presigned URL.
        report: called with the bytes received and all bytes.

    Raises ChecksumMismatch if the bytes are not those of the Artifact, GatewayUnavailable, RequestRefused.
    """
    with _draft(target) as draft:
        with draft.open("wb") as file:
            media_type = _fetch(http, file, artifact=artifact, link=link, report=report)
        if _is_packed(media_type, artifact):
            _decode(draft, artifact)
        if _digest(draft) != artifact.sha256:
            raise _mismatch(artifact)
        draft.replace(target)


@contextmanager
def _draft(target: Path) -> Iterator[Path]:
    """Make a file next to `target`, so that replacing it is atomic, with the mode of a new file."""
    handle, name = tempfile.mkstemp(dir=target.absolute().parent, prefix=f".{target.name[:100]}.")
    os.close(handle)
    mask = os.umask(0)
    os.umask(mask)
    draft = Path(name)
    draft.chmod(0o666 & ~mask)
    try:
        yield draft
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()


def _fetch(
    http: httpx.Client, file: BinaryIO, *, artifact: RemoteArtifact, link: Callable[[], str], report: Report | None
) -> str:
    """Write the stored bytes to `file`, and return their media type. After a break, go on where it was.

    Raises ChecksumMismatch as soon as more bytes arrive than the Artifact can have.
    """
    reason, done, size_bytes = "", 0, artifact.size_bytes
    for _ in range(TRIES):
        headers = {"Range": f"bytes={done}-"} if done else {}
        try:
            with http.stream("GET", link(), headers={"Accept-Encoding": "identity", **headers}) as response:
                if not response.is_success:
                    raise RequestRefused(
                        f"the object store refused the download with status {response.status_code}",
                        status=response.status_code,
                        slug="store-refused",
                    )
                if response.status_code != HTTPStatus.PARTIAL_CONTENT:
                    done = 0
                file.seek(done)
                file.truncate()
                media_type = str(response.headers.get("content-type", ""))
                most = size_bytes + (size_bytes // 128 + _FRAMES_BYTES if _is_packed(media_type, artifact) else 0)
                for chunk in response.iter_raw():
                    done += len(chunk)
                    if done > most:
                        raise _mismatch(artifact)
                    file.write(chunk)
                    if report is not None:
                        report(min(done, size_bytes), size_bytes)
                return media_type
        except httpx.TransportError as error:
            reason = type(error).__name__
    raise GatewayUnavailable(f"the download broke {TRIES} times ({reason}): try again later")


def _is_packed(media_type: str, artifact: RemoteArtifact) -> bool:
    return media_type == _ZSTD and artifact.media_type != _ZSTD


def _mismatch(artifact: RemoteArtifact) -> ChecksumMismatch:
    return ChecksumMismatch(f"what was downloaded of {artifact.name} differs from its sha256: run the task again")


def _decode(draft: Path, artifact: RemoteArtifact) -> None:
    """Replace the zstd frames in `draft` by their content. Raises ChecksumMismatch once it is too much."""
    done = 0
    with _draft(draft) as plain:
        with draft.open("rb") as source, plain.open("wb") as file:
            reader = zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True)
            while chunk := reader.read(_READ_BYTES):
                done += len(chunk)
                if done > artifact.size_bytes:
                    raise _mismatch(artifact)
                file.write(chunk)
        plain.replace(draft)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
