"""LocalSigner: signed URLs to the blobs of a folder, with the guarantees of presigned S3 URLs."""

import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from resultstore.blobs.blobstore import ReadMethod, SignedUrl
from resultstore.blobs.disposition import content_disposition
from resultstore.blobs.keys import checked_key, is_key
from resultstore.blobs.local.atomic_file import AtomicFiles, disk_errors
from resultstore.model.errors import BadReference, Misconfigured
from resultstore.telemetry.redaction import SecretBytes

_PURPOSE = "resultstore local url 1"  # keeps these signatures apart from others made with the same secret
_MIN_SECRET_BYTES = 16
_MAX_LIFE_S = 604_800  # seven days, as S3 (Signature Version 4, X-Amz-Expires)
_MAX_QUERY_BYTES = 4096
_PUT_HEADERS = ("content-length", "content-type", "if-none-match")
_CHECKSUM_HEADER = "x-amz-checksum-sha256"

Pairs = list[tuple[str, str]]


class SignedUrlClaims(msgspec.Struct, frozen=True, kw_only=True):
    """What a genuine URL allows.

    Args:
        method: GET, HEAD or PUT.
        key: the blob that may be read or written.
        expires_at: seconds since the epoch.
        media_type: GET: the type of the answer; PUT: the declared type of the body.
        disposition: GET: the Content-Disposition of the answer.
        size_bytes: PUT: the length that the body must have.
        checksum_sha256: PUT: base64 digest that the body must have; "" when none was signed.
        upload_id, number: PUT: of which upload the body is which part; "" and 0 for a whole blob.
    """

    method: str
    key: str
    expires_at: int
    media_type: str
    disposition: str = ""
    size_bytes: int = 0
    checksum_sha256: str = ""
    upload_id: str = ""
    number: int = 0


class LocalSigner:
    """Signs and checks URLs: HMAC-SHA256 over method, key, expiry, answer headers and required request headers.

    Args:
        secret: at least 16 bytes, the same in every process that signs or checks.
        base_url: where the bytes are served, as browsers reach it.
        now: the clock that decides about expiry, in epoch seconds.
        window_s: URLs that live at least twice as long are dated to the last multiple of this, so that they stay the
            same and cacheable.
    """

    def __init__(
        self, secret: bytes, base_url: str, now: Callable[[], float] = time.time, *, window_s: int = 0
    ) -> None:
        if len(secret) < _MIN_SECRET_BYTES:
            raise Misconfigured(f"RESULTSTORE_SECRET_KEY is shorter than {_MIN_SECRET_BYTES} bytes: make a random one")
        self._secret = secret
        self._base_url = base_url.rstrip("/")
        self.origin = "{0.scheme}://{0.netloc}".format(urlsplit(base_url))
        self._window_s = window_s
        self._now = now

    def sign_get(
        self,
        key: str,
        *,
        expires_in_s: int,
        file_name: str,
        media_type: str,
        inline: bool = False,
        not_after: int | None = None,
        method: ReadMethod = "GET",
    ) -> SignedUrl:
        """Return a URL that downloads `key` with this media type and file name, or shows it inline.

        With `method` "HEAD" it returns the headers only; a URL for GET returns them too.
        """
        disposition = content_disposition(file_name, media_type=media_type, inline=inline)
        answer = [("type", media_type), ("disposition", disposition)]
        return self._signed(method, key, expires_in_s, headers={}, pairs=answer, not_after=not_after)

    def sign_put(
        self, key: str, *, expires_in_s: int, size_bytes: int, media_type: str, checksum_sha256: str | None = None
    ) -> SignedUrl:
        """Return a URL that writes exactly `size_bytes` of `media_type` to `key`, once, with unchanged `headers`."""
        headers = dict(zip(_PUT_HEADERS, (str(size_bytes), media_type, "*"), strict=True))
        if checksum_sha256:
            headers[_CHECKSUM_HEADER] = checksum_sha256
        return self._signed("PUT", key, expires_in_s, headers=headers, pairs=[("headers", ";".join(headers))])

    def sign_part(self, key: str, *, expires_in_s: int, upload_id: str, number: int, size_bytes: int) -> SignedUrl:
        """Return a URL that sends part `number` of a multipart upload: exactly `size_bytes`."""
        headers = {"content-length": str(size_bytes)}
        part = [("headers", ";".join(headers)), ("upload", upload_id), ("part", str(number))]
        return self._signed("PUT", key, expires_in_s, headers=headers, pairs=part)

    def check(self, method: str, path: str, query: str, headers: Mapping[str, str]) -> SignedUrlClaims:
        """Return what the request may do.

        `path` and `query` are raw, as sent; `headers` have any case. Raises BadReference when the URL has
        expired, or was not signed by this secret for this method, key, parameters and headers exactly.
        """
        key = path.removeprefix(urlsplit(self._base_url).path).removeprefix("/")
        *pairs, (last, signature) = _parsed(query)
        values = dict(pairs)
        sent = {name.lower(): value for name, value in headers.items()}
        signed = {name: sent.get(name, "") for name in values.get("headers", "").split(";") if name}
        wanted = self._signature(method, key, signed, pairs)
        genuine = hmac.compare_digest(wanted, signature.encode(errors="replace"))
        if not (genuine and last == "signature" and is_key(key)):
            raise BadReference("this URL was not signed for this request: ask for a new one, use it unchanged")
        if extra := [name for name in sent if name.startswith("x-amz-") and name not in signed]:
            raise BadReference(f"the header {extra[0][:100]} is not signed by the URL for {key}: leave it out")
        if self._now() >= int(values["expires"]):
            raise BadReference(f"the URL for {key} has expired: ask for a new one")
        return _grant(method, key, values, signed)

    def _signed(
        self,
        method: str,
        key: str,
        expires_in_s: int,
        *,
        headers: Mapping[str, str],
        pairs: Pairs,
        not_after: int | None = None,
    ) -> SignedUrl:
        if not 0 < expires_in_s <= _MAX_LIFE_S:
            raise BadReference(
                f"a URL lives 1 to {_MAX_LIFE_S} seconds, not {expires_in_s}: see RESULTSTORE_URL_EXPIRES_S"
            )
        second = int(self._now())
        if self._window_s and expires_in_s >= 2 * self._window_s:
            second -= second % self._window_s
        expires_at = second + expires_in_s if not_after is None else min(second + expires_in_s, not_after)
        pairs = [("expires", str(expires_at)), *pairs]
        signature = self._signature(method, checked_key(key), headers, pairs).decode()
        url = f"{self._base_url}/{key}?{urlencode([*pairs, ('signature', signature)])}"
        return SignedUrl(method=method, url=url, headers=headers, expires_at=expires_at)

    def _signature(self, method: str, key: str, headers: Mapping[str, str], pairs: Sequence[tuple[str, str]]) -> bytes:
        # JSON separates the values, so that one cannot be read as two.
        text = json.dumps([_PURPOSE, method, key, sorted(headers.items()), list(pairs)])
        return hmac.new(self._secret, text.encode(), sha256).hexdigest().encode()


def folder_secret(root: Path) -> bytes:
    """Return the secret of a folder of blobs, which the first call makes: no set-up, and every process agrees.

    It is stored in `.secret`, for its owner only. Raises Misconfigured when it is damaged or others may read it.
    """
    path = root / ".secret"
    with disk_errors(root):
        if not path.exists():
            with AtomicFiles(root).create() as draft:
                draft.write(secrets.token_hex(sha256().digest_size).encode())
                if draft.publish(path):  # else another process was first: its secret is the folder's
                    draft.sync(path)
        if path.stat().st_mode & 0o077:
            raise Misconfigured(f"{path} may be read by others: chmod 600 it, or remove it to invalidate all URLs")
        secret = SecretBytes(path.read_bytes())
    if len(secret) != 2 * sha256().digest_size:
        raise Misconfigured(f"{path} is damaged: remove it (URLs that were signed with it become invalid)")
    return secret


def _parsed(query: str) -> Pairs:
    if len(query) > _MAX_QUERY_BYTES:
        raise BadReference("the URL's query is longer than any signed one: use the URL unchanged")
    return parse_qsl(query, keep_blank_values=True) or [("", "")]


def _grant(method: str, key: str, values: Mapping[str, str], signed: Mapping[str, str]) -> SignedUrlClaims:
    return SignedUrlClaims(
        method=method,
        key=key,
        expires_at=int(values["expires"]),
        media_type=signed.get("content-type", values.get("type", "")),
        disposition=values.get("disposition", ""),
        size_bytes=int(signed.get("content-length", 0)),
        checksum_sha256=signed.get(_CHECKSUM_HEADER, ""),
        upload_id=values.get("upload", ""),
        number=int(values.get("part", 0)),
    )
