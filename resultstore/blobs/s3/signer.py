"""S3Signer: presigned URLs to one bucket (AWS Signature Version 4 in the query)."""

import base64
import functools
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from urllib.parse import quote

import msgspec

from resultstore.blobs.blobstore import ReadMethod, SignedForm, SignedUrl
from resultstore.blobs.disposition import content_disposition
from resultstore.blobs.keys import checked_key
from resultstore.blobs.s3.credential_chain import CredentialChain
from resultstore.blobs.s3.credentials import Credentials, CredentialSource
from resultstore.blobs.s3.target import S3Target
from resultstore.model.errors import BadReference, BlobStoreUnavailable
from resultstore.model.mac import hmac_sha256

# Amazon S3 API reference, "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)".
_ALGORITHM = "AWS4-HMAC-SHA256"
_LONGEST_S = 7 * 86_400
_UNRESERVED = "-_.~"
_ESCAPES = {n: quote(chr(n), safe=_UNRESERVED) for n in range(128)}
_DAY_CHARS = len("20261121")

# MinIO accepts an unsigned `x-amz-copy-source`: a client with a URL to write could copy any object that the signing
# identity can read to its own key (CVE-2026-54330; the last upstream source does it). A signed condition that no source
# meets stops the copy and does not affect an upload. AWS checks all `x-amz-` headers itself.
_NO_COPIES = {"x-amz-copy-source-if-match": "none"}
_SENDERS_CACHING = "private, no-store"  # in place of the uploading client's own, which is not signed
_CHECKS_ALL_HEADERS = (".amazonaws.com", ".amazonaws.com.cn")


class _Moment(msgspec.Struct, frozen=True):
    """Values that all URLs of one second share.

    Args:
        second: since the epoch.
        credentials: sign the URLs.
        stamp: the second in ISO 8601's basic form.
        scope: day, region and service.
        key: the day's signing key.
        query: Algorithm, Credential and Date, ready for the URL.
    """

    second: int
    credentials: Credentials
    stamp: str
    scope: str
    key: bytes
    query: str

    def life_s(self, wanted_s: int) -> int:
        """Return `wanted_s`, or how long the credentials live from this second on, if that is less.

        Raises BlobStoreUnavailable when they have ended.
        """
        end = self.credentials.expires_at
        if end is None:
            return wanted_s
        left_s = int(end) - self.second
        if left_s < 1:
            raise BlobStoreUnavailable("the credentials that sign URLs have expired: find out why they are not renewed")
        return min(wanted_s, left_s)


class S3Signer:
    """Signs URLs of the public endpoint, without a request.

    A URL expires no later than the credentials that signed it; `expires_at` says when. A path of the public endpoint
    is not signed, because its proxy removes it: the store checks the path that it receives.

    Args:
        target: the bucket, and the public endpoint of the URLs.
        credentials: returns the current access key; boto3's provider chain unless given.
        read_credentials: signs URLs to read, with an identity that may do nothing else; by default `credentials`.
        now: seconds since the epoch; a store refuses URLs dated more than 15 minutes ahead of its own clock.
        window_s: URLs are dated back to the last multiple of this, so that they stay the same and cacheable;
            they then work up to `window_s` shorter. Only for URLs that live at least twice as long. 0: dated now.
    """

    def __init__(
        self,
        target: S3Target,
        *,
        credentials: CredentialSource | None = None,
        read_credentials: CredentialSource | None = None,
        now: Callable[[], float] = time.time,
        window_s: int = 0,
    ) -> None:
        self._target = target
        self._credentials = credentials or CredentialChain()
        self._read_credentials = read_credentials or self._credentials
        self._now = now
        self._window_s = window_s
        origin = target.public_origin
        self.origin = origin if target.path_style else target.in_host(origin)
        self._host = self.origin.partition("://")[2]
        self._public_url = self.origin + target.public_path
        folder = f"/{target.bucket}/" if target.path_style else "/"
        self._folder = quote(folder + target.object_key(""), safe="/" + _UNRESERVED)
        self._guard = {} if self._host.endswith(_CHECKS_ALL_HEADERS) else _NO_COPIES
        self._last: dict[CredentialSource, _Moment] = {}

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
        """Return a URL that downloads `key` with this type and file name (RFC 6266), or shows it inline.

        With `method` "HEAD" it returns the headers only: a store accepts a URL for one method.

        Raises BadReference for a malformed key or a life outside 1 s to 7 days, BlobStoreUnavailable when the store's
        time is not available.
        """
        moment = self._moment(self._read_credentials, _life(expires_in_s))
        life_s = moment.life_s(expires_in_s if not_after is None else min(expires_in_s, not_after - moment.second))
        kept_s = self._window_s if life_s >= 2 * self._window_s else 0
        caching = f"private, max-age={kept_s}" if kept_s else _SENDERS_CACHING if key.startswith("uploads/") else ""
        overrides = _overrides(file_name, media_type=media_type, inline=inline, caching=caching)
        return self._signed(method, key, moment, expires_in_s=life_s, overrides=overrides, headers={})

    def sign_put(
        self, key: str, *, expires_in_s: int, size_bytes: int, media_type: str, checksum_sha256: str | None = None
    ) -> SignedUrl:
        """Return a URL that writes exactly `size_bytes` of `media_type` to `key`, once, with unchanged headers.

        `checksum_sha256` (base64) is a signed header: in the query MinIO accepts it and does not verify it.
        Raises BadReference as `sign_get` does.
        """
        headers = {"content-length": str(size_bytes), "content-type": media_type, "if-none-match": "*", **self._guard}
        if checksum_sha256 is not None:
            headers["x-amz-checksum-sha256"] = checksum_sha256
        moment = self._moment(self._credentials, expires_in_s)
        life_s = moment.life_s(expires_in_s)
        return self._signed("PUT", key, moment, expires_in_s=life_s, overrides="", headers=headers)

    def sign_part(self, key: str, *, expires_in_s: int, upload_id: str, number: int, size_bytes: int) -> SignedUrl:
        """Return a URL that sends part `number` (1 to 10,000) of a multipart upload: exactly `size_bytes`.

        Raises BadReference as `sign_get` does.
        """
        asked = f"partNumber={number}&uploadId={_quoted(upload_id)}"
        headers = {"content-length": str(size_bytes), **self._guard}
        moment = self._moment(self._credentials, expires_in_s)
        life_s = moment.life_s(expires_in_s)
        return self._signed("PUT", key, moment, expires_in_s=life_s, overrides=asked, headers=headers)

    def sign_form(
        self, key: str, *, expires_in_s: int, size_bytes: int, media_type: str, checksum_sha256: str | None = None
    ) -> SignedForm:
        """Return a form that writes exactly `size_bytes` of `media_type` to `key`. It can be used until it expires.

        The store refuses another size only after all bytes were sent, and every field that the policy does not list
        (Amazon S3 API reference, "Browser-Based Uploads Using POST"). Raises BadReference as `sign_get` does.
        """
        moment = self._moment(self._credentials, _life(expires_in_s))
        fields = {
            "key": self._target.object_key(checked_key(key)),
            "Content-Type": media_type,
            "x-amz-algorithm": _ALGORITHM,
            "x-amz-credential": f"{moment.credentials.access_key}/{moment.scope}",
            "x-amz-date": moment.stamp,
        }
        if moment.credentials.session_token:
            fields["x-amz-security-token"] = str(moment.credentials.session_token)  # plain: it is sent
        if checksum_sha256 is not None:
            fields["x-amz-checksum-sha256"] = checksum_sha256
        expires_at = moment.second + moment.life_s(expires_in_s)
        policy = {
            "expiration": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(expires_at)),
            "conditions": [
                {"bucket": self._target.bucket},
                ["content-length-range", size_bytes, size_bytes],
                *({name: value} for name, value in fields.items()),
            ],
        }
        document = base64.b64encode(msgspec.json.encode(policy))
        signature = hmac_sha256(moment.key, document).hex()
        folder = f"/{self._target.bucket}" if self._target.path_style else "/"
        return SignedForm(
            url=self._public_url + folder,
            fields={**fields, "policy": document.decode(), "x-amz-signature": signature},
            expires_at=expires_at,
        )

    def _signed(
        self, method: str, key: str, moment: _Moment, *, expires_in_s: int, overrides: str, headers: Mapping[str, str]
    ) -> SignedUrl:
        _life(expires_in_s)
        path = self._folder + checked_key(key)  # a valid key has no character that a URL would encode
        names, lines = self._signed_headers(headers)
        query = f"{moment.query}&X-Amz-Expires={expires_in_s}&X-Amz-SignedHeaders={names.replace(';', '%3B')}"
        if moment.credentials.session_token:
            query += f"&X-Amz-Security-Token={_quoted(moment.credentials.session_token)}"
        if overrides:
            query = f"{overrides}&{query}"
        canonical = f"{method}\n{path}\n{'&'.join(sorted(query.split('&')))}\n{lines}\n{names}\nUNSIGNED-PAYLOAD"
        signature = _signature(moment, canonical)
        return SignedUrl(
            method=method,
            url=f"{self._public_url}{path}?{query}&X-Amz-Signature={signature}",
            headers=headers,
            expires_at=moment.second + expires_in_s,
        )

    def _signed_headers(self, headers: Mapping[str, str]) -> tuple[str, str]:
        """Return the sorted names of the signed headers, and their canonical lines."""
        if not headers:
            return "host", f"host:{self._host}\n"
        every = sorted({**headers, "host": self._host}.items())
        lines = "".join(f"{name}:{' '.join(value.split())}\n" for name, value in every)
        return ";".join(name for name, _ in every), lines

    def _moment(self, source: CredentialSource, expires_in_s: int) -> _Moment:
        second = int(self._now())
        if self._window_s and expires_in_s >= 2 * self._window_s:
            second -= second % self._window_s
        credentials, last = source(), self._last.get(source)
        if last is None or last.second != second or last.credentials != credentials:
            last = self._last[source] = self._new_moment(second, credentials)
        return last

    def _new_moment(self, second: int, credentials: Credentials) -> _Moment:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        day, region = stamp[:_DAY_CHARS], self._target.region
        key = f"AWS4{credentials.secret_key}".encode()
        for word in (day, region, "s3", "aws4_request"):
            key = hmac.digest(key, word.encode(), "sha256")
        scope = f"{day}/{region}/s3/aws4_request"
        holder = _quoted(f"{credentials.access_key}/{scope}")
        query = f"X-Amz-Algorithm={_ALGORITHM}&X-Amz-Credential={holder}&X-Amz-Date={stamp}"
        return _Moment(second, credentials, stamp, scope, key, query)


@functools.lru_cache(maxsize=4096)  # a page asks for the same few names at every refresh
def _overrides(file_name: str, *, media_type: str, inline: bool, caching: str) -> str:
    """Return the query parameters that set headers of the answer."""
    disposition = content_disposition(file_name, media_type=media_type, inline=inline)
    cached = f"response-cache-control={_quoted(caching)}&" if caching else ""
    return f"{cached}response-content-disposition={_quoted(disposition)}&response-content-type={_quoted(media_type)}"


def _life(expires_in_s: int) -> int:
    if not 1 <= expires_in_s <= _LONGEST_S:
        raise BadReference(f"a presigned URL lives 1 to {_LONGEST_S} seconds, not {expires_in_s}")
    return expires_in_s


def _signature(moment: _Moment, canonical: str) -> str:
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    signed = f"{_ALGORITHM}\n{moment.stamp}\n{moment.scope}\n{digest}"
    return hmac_sha256(moment.key, signed.encode()).hex()


def _quoted(value: str) -> str:
    """Percent-encode all but unreserved characters (RFC 3986); by a table, ten times faster than `quote`."""
    return value.translate(_ESCAPES) if value.isascii() else quote(value, safe=_UNRESERVED)
