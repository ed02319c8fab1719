"""S3Probes: find out by trying what a bucket's store really keeps; stores promise more than they keep."""

import base64
import hashlib
import http.client
import secrets
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from resultstore.blobs.blobstore import AlreadyExists, BlobStore, Created
from resultstore.blobs.s3.bucket import S3Bucket
from resultstore.blobs.s3.credentials import CredentialSource
from resultstore.blobs.s3.errors import S3Failure
from resultstore.blobs.s3.forgery import FORGERY_REMEDY, ForgedRequests, try_forgeries
from resultstore.blobs.s3.signer import S3Signer
from resultstore.blobs.s3.url_client import send_half, status_of
from resultstore.model.errors import BlobMissing, NotSupported

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import LifecycleRuleOutputTypeDef

_CREATORS = 8
_TORN_BYTES = 64 * 1024
_SKEW_S = 60.0
_HOUR_S = 3600.0
_LIFE_S = 60
_REFUSED = range(400, 500)
_LOOKS = 10
_BETWEEN_LOOKS_S = 0.1
_BODY = b"probe"


class Trait(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one probe.

    Args:
        name: what was tried.
        ok: True if the store keeps it.
        detail: what was found.
        remedy: what to do about it; "" if it is ok.
    """

    name: str
    ok: bool
    detail: str
    remedy: str = ""


class S3Probes:
    """Tries things on the real bucket, one with each method, below `blobs/1d/`, and deletes what it wrote.

    Every method raises BlobStoreUnavailable when the store cannot be reached.

    Args:
        bucket: the control plane.
        blobs: the data path to the same bucket.
        credentials: sign the URLs to try.
    """

    def __init__(self, bucket: S3Bucket, blobs: BlobStore, *, credentials: CredentialSource) -> None:
        self._bucket = bucket
        self._blobs = blobs
        self._credentials = credentials
        # The endpoint of this process: the public one may lead to another server from here.
        self._target = msgspec.structs.replace(bucket.target, public_endpoint_url=bucket.target.origin)

    def tries(self) -> tuple[Callable[[], Trait], ...]:
        """Return every probe, to be called in turn."""
        return (
            self.creates_once,
            self.checks_checksums,
            self.drops_torn_uploads,
            self.knows_lifecycle,
            self.keeps_tags,
            self.agrees_on_the_time,
            self.ends_urls,
            self.refuses_urls_from_the_future,
            self.refuses_smuggled_copies,
            self.refuses_unsigned_writes,
        )

    def creates_once(self) -> Trait:
        """Let eight creators write one key at once: exactly one must win (seals depend on it)."""
        with self._key() as key, ThreadPoolExecutor(_CREATORS) as pool:
            answers = list(pool.map(lambda n: self._blobs.create(key, b"%d" % n, tags={}), range(_CREATORS)))
        won = sum(isinstance(answer, Created) for answer in answers)
        lost = sum(isinstance(answer, AlreadyExists) for answer in answers)
        return Trait(
            name="conditional PUT",
            ok=won == 1,
            detail=f"{_CREATORS} clients created one key: {won} succeeded, {lost} were refused",
            remedy="" if won == 1 else "use a store that honours If-None-Match: two attempts could both seal a Result",
        )

    def checks_checksums(self) -> Trait:
        """Send a body that does not match its declared checksum: it must be refused."""
        wrong = base64.b64encode(zlib.crc32(_BODY + b"!").to_bytes(4, "big")).decode()
        with self._key() as key:
            try:
                self._bucket.client().put_object(
                    Bucket=self._target.bucket, Key=self._target.object_key(key), Body=_BODY, ChecksumCRC32=wrong
                )
            except ClientError as error:
                return Trait(name="checksums", ok=True, detail=f"a wrong one is refused ({_code(error)})")
        return Trait(
            name="checksums",
            ok=False,
            detail="a body with a wrong checksum was accepted",
            remedy="damage during an upload is found only at the first read; prefer a store that verifies",
        )

    def drops_torn_uploads(self) -> Trait:
        """Send half a body and close the connection: nothing of it must be readable."""
        with self._key() as key:
            send_half(self._signer().sign_put(key, expires_in_s=_LIFE_S, size_bytes=_TORN_BYTES, media_type="a/b"))
            kept_bytes = self._kept_bytes(key)
            if kept_bytes is None:
                return Trait(name="torn uploads", ok=True, detail="half an upload is dropped")
        return Trait(
            name="torn uploads",
            ok=False,
            detail=f"{kept_bytes} of {_TORN_BYTES} bytes of a broken upload can be read",
            remedy="sizes are compared before an upload is accepted; give uploads a checksum as well",
        )

    def knows_lifecycle(self) -> Trait:
        """Write the present lifecycle rules once more: without rules nothing collects expired objects."""
        name, bucket, client = "lifecycle", self._target.bucket, self._bucket.client()
        try:
            with self._asking():
                present = self._rules()
                rules = present or [_probe_rule(self._target.object_key(f"blobs/1d/{secrets.token_hex(16)}/"))]
                client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
                if not present:
                    client.delete_bucket_lifecycle(Bucket=bucket)
        except ClientError as error:
            remedy = "run `resultstore sweep` once a day: this store collects nothing"
            if _code(error) == "AccessDenied":
                remedy = "run this with the credentials of the set-up to find out"
            return Trait(name=name, ok=False, detail=f"rules cannot be written ({_code(error)})", remedy=remedy)
        return Trait(name=name, ok=True, detail="rules can be written")

    def _rules(self) -> "list[LifecycleRuleOutputTypeDef]":
        try:
            answer = self._bucket.client().get_bucket_lifecycle_configuration(Bucket=self._target.bucket)
        except ClientError as error:
            if _code(error) != "NoSuchLifecycleConfiguration":
                raise
            return []
        return answer.get("Rules", [])

    def keeps_tags(self) -> Trait:
        """Write and read tags: lifecycle rules select seals by tag."""
        with self._key() as key:
            try:
                self._blobs.create(key, _BODY, tags={"rs-class": "1d"})
                answer = self._bucket.client().get_object_tagging(
                    Bucket=self._target.bucket, Key=self._target.object_key(key)
                )
                seen = str({tag["Key"]: tag["Value"] for tag in answer["TagSet"]})
            except ClientError as error:
                seen = _code(error)
            except NotSupported:
                seen = "501 NotImplemented"
        ok = seen == str({"rs-class": "1d"})
        remedy = "" if ok else "run `resultstore sweep` once a day: rules cannot select seals by tag here"
        return Trait(
            name="tags", ok=ok, detail="tags are kept" if ok else f"asked for a tag, got {seen}", remedy=remedy
        )

    def agrees_on_the_time(self) -> Trait:
        """Compare the clocks: this machine dates URLs, the store checks them."""
        ahead_s = time.time() - self._blobs.now()
        ok = abs(ahead_s) <= _SKEW_S
        remedy = "" if ok else "synchronise the clocks (NTP): at 15 minutes every request is refused"
        return Trait(name="clock", ok=ok, detail=f"this machine is {ahead_s:+.1f} s ahead of the store", remedy=remedy)

    def ends_urls(self) -> Trait:
        """Use an expired presigned URL: it must be refused."""
        status = self._status_of_url(dated_s=-_HOUR_S)
        ok = status in _REFUSED
        remedy = "" if ok else "do not hand out presigned URLs of this store: they never end"
        return Trait(name="expired URLs", ok=ok, detail=f"an hour-old URL is answered with {status}", remedy=remedy)

    def refuses_urls_from_the_future(self) -> Trait:
        """Use a URL dated in the future: it would live longer than allowed."""
        status = self._status_of_url(dated_s=_HOUR_S)
        ok = status in _REFUSED
        remedy = "" if ok else "keep this machine's clock right: a URL signed ahead of time lives longer here"
        return Trait(name="URLs dated ahead", ok=ok, detail=f"answered with {status}", remedy=remedy)

    def refuses_smuggled_copies(self) -> Trait:
        """Use a URL to write with a copy source: it must not read another object (CVE-2026-54330)."""
        with self._key() as source, self._key() as key:
            self._blobs.put(source, [_BODY], media_type="a/b")
            signed = self._signer().sign_put(key, expires_in_s=_LIFE_S, size_bytes=len(_BODY), media_type="a/b")
            more = {"x-amz-copy-source": f"/{self._target.bucket}/{self._target.object_key(source)}"}
            status = status_of(signed, body=_BODY, more=more)
        ok = status in _REFUSED
        remedy = "" if ok else "update the store: any client that may upload can read every object (CVE-2026-54330)"
        return Trait(name="smuggled copies", ok=ok, detail=f"answered with {status}", remedy=remedy)

    def refuses_unsigned_writes(self) -> Trait:
        """Send writes with a false signature: they must be refused (CVE-2026-41145, CVE-2026-40344).

        They go where a worker may write, and where a gateway may. What was written is deleted.
        """
        forger = ForgedRequests(self._target, credentials=self._credentials)
        found = try_forgeries(forger, delete=lambda key: self._blobs.delete([key]))
        detail = f"the store carries out unsigned writes ({', '.join(found)})"
        return Trait(
            name="unsigned writes",
            ok=not found,
            detail=detail if found else "a write with a false signature is refused",
            remedy=FORGERY_REMEDY if found else "",
        )

    def _status_of_url(self, *, dated_s: float) -> int:
        with self._key() as key:
            self._blobs.put(key, [_BODY], media_type="a/b")
            signer = self._signer(now=lambda: self._blobs.now() + dated_s)
            signed = signer.sign_get(key, expires_in_s=_LIFE_S, file_name="probe", media_type="a/b")
            return status_of(signed, body=None, more={})

    def _signer(self, *, now: Callable[[], float] = time.time) -> S3Signer:
        return S3Signer(self._target, credentials=self._credentials, now=now)

    def _kept_bytes(self, key: str) -> int | None:
        """Return the stored length, or None after a second: a server notices a closed connection with a delay."""
        for _ in range(_LOOKS):
            with suppress(BlobMissing):
                return self._blobs.stat(key).size_bytes
            time.sleep(_BETWEEN_LOOKS_S)
        return None

    @contextmanager
    def _key(self) -> Iterator[str]:
        """Yield a new key for one probe and delete it; the lifecycle rules collect what a crash leaves."""
        name = secrets.token_hex(16)
        key = f"blobs/1d/{hashlib.sha256(b'probe').hexdigest()[:2]}/probe/{name}.0"
        try:
            with self._asking():
                yield key
        finally:
            self._blobs.delete([key])

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException, BotoCoreError) as error:
            raise S3Failure.of(error).error(self._target.where, "a probe") from error


def _probe_rule(prefix: str) -> "LifecycleRuleOutputTypeDef":
    return {"ID": "rs-probe", "Status": "Enabled", "Filter": {"Prefix": prefix}, "Expiration": {"Days": 1}}


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "refused"))
