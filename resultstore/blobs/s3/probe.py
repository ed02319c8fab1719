"""Probe: what a bucket's store can really do, found out by trying. Stores promise more than they keep."""

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
from resultstore.blobs.s3.forgery import FORGERY_REMEDY, ForgedRequests, carried_out
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
    """One thing that was tried, and whether the store keeps it.

    Args:
        name: what.
        ok: whether the store keeps it.
        detail: what was seen.
        remedy: what to do about it; "" when it is well.
    """

    name: str
    ok: bool
    detail: str
    remedy: str = ""


class S3Probes:
    """Each method tries one thing on the real bucket, below `blobs/1d/`, and removes what it wrote.

    Any of them raises BlobStoreUnavailable when the store cannot be asked.

    Args:
        bucket: the control plane.
        blobs: the data path to the same bucket.
        credentials: what URLs are signed with.
    """

    def __init__(self, bucket: S3Bucket, blobs: BlobStore, *, credentials: CredentialSource) -> None:
        self._bucket = bucket
        self._blobs = blobs
        self._credentials = credentials
        # Asked at the endpoint that this process reaches; the public one may lead elsewhere from here.
        self._target = msgspec.structs.replace(bucket.target, public_endpoint_url=bucket.target.origin)

    def tries(self) -> tuple[Callable[[], Trait], ...]:
        """Every probe, to be called in turn."""
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
        """Of eight creators of one key that come at once, exactly one must win (seals rest on it)."""
        with self._key() as key, ThreadPoolExecutor(_CREATORS) as pool:
            answers = list(pool.map(lambda n: self._blobs.create(key, b"%d" % n, tags={}), range(_CREATORS)))
        won = sum(isinstance(answer, Created) for answer in answers)
        lost = sum(isinstance(answer, AlreadyExists) for answer in answers)
        return Trait(
            name="conditional PUT",
            ok=won == 1,
            detail=f"of {_CREATORS} creators of one key {won} won and {lost} were told that they lost",
            remedy="" if won == 1 else "use a store that honours If-None-Match: two attempts could both seal a Result",
        )

    def checks_checksums(self) -> Trait:
        """A body that does not fit its declared checksum must be refused."""
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
            remedy="damage on the way in is found at the first read only; prefer a store that verifies",
        )

    def drops_torn_uploads(self) -> Trait:
        """What a sender that goes away in mid-body leaves behind must not be readable."""
        with self._key() as key:
            send_half(self._signer().sign_put(key, expires_in_s=_LIFE_S, size_bytes=_TORN_BYTES, media_type="a/b"))
            kept_bytes = self._kept_bytes(key)
            if kept_bytes is None:
                return Trait(name="torn uploads", ok=True, detail="half an upload is dropped")
        return Trait(
            name="torn uploads",
            ok=False,
            detail=f"{kept_bytes} of {_TORN_BYTES} bytes of a broken upload can be read",
            remedy="sizes are compared before an upload is believed; give uploads a checksum as well",
        )

    def knows_lifecycle(self) -> Trait:
        """Without lifecycle rules nobody collects what has expired. The rules that stand are written once more."""
        name, bucket, client = "lifecycle", self._target.bucket, self._bucket.client()
        try:
            with self._asking():
                standing = self._rules()
                rules = standing or [_probe_rule(self._target.object_key(f"blobs/1d/{secrets.token_hex(16)}/"))]
                client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
                if not standing:
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
        """Rules for seals choose by tag."""
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
        remedy = "" if ok else "run `resultstore sweep` once a day: rules cannot choose seals by tag here"
        return Trait(
            name="tags", ok=ok, detail="tags are kept" if ok else f"asked for a tag, got {seen}", remedy=remedy
        )

    def agrees_on_the_time(self) -> Trait:
        """URLs are dated by this machine and judged by the store."""
        ahead_s = time.time() - self._blobs.now()
        ok = abs(ahead_s) <= _SKEW_S
        remedy = "" if ok else "synchronise the clocks (NTP): at 15 minutes every request is refused"
        return Trait(name="clock", ok=ok, detail=f"this machine is {ahead_s:+.1f} s ahead of the store", remedy=remedy)

    def ends_urls(self) -> Trait:
        """A presigned URL must not outlive its time."""
        status = self._status_of_url(dated_s=-_HOUR_S)
        ok = status in _REFUSED
        remedy = "" if ok else "do not hand out presigned URLs of this store: they never end"
        return Trait(name="expired URLs", ok=ok, detail=f"an hour-old URL is answered with {status}", remedy=remedy)

    def refuses_urls_from_the_future(self) -> Trait:
        """A URL that is dated ahead would live longer than anyone may grant."""
        status = self._status_of_url(dated_s=_HOUR_S)
        ok = status in _REFUSED
        remedy = "" if ok else "keep this machine's clock right: a URL signed ahead of time lives longer here"
        return Trait(name="URLs dated ahead", ok=ok, detail=f"answered with {status}", remedy=remedy)

    def refuses_smuggled_copies(self) -> Trait:
        """A URL to write must not become a read of any other object (CVE-2026-54330)."""
        with self._key() as source, self._key() as key:
            self._blobs.put(source, [_BODY], media_type="a/b")
            signed = self._signer().sign_put(key, expires_in_s=_LIFE_S, size_bytes=len(_BODY), media_type="a/b")
            more = {"x-amz-copy-source": f"/{self._target.bucket}/{self._target.object_key(source)}"}
            status = status_of(signed, body=_BODY, more=more)
        ok = status in _REFUSED
        remedy = "" if ok else "update the store: whoever may upload can read every object (CVE-2026-54330)"
        return Trait(name="smuggled copies", ok=ok, detail=f"answered with {status}", remedy=remedy)

    def refuses_unsigned_writes(self) -> Trait:
        """A write must be refused whose signature is false (CVE-2026-41145, CVE-2026-40344).

        It is tried where a worker may write, and where a gateway may. Nothing is left of it.
        """
        forger = ForgedRequests(self._target, credentials=self._credentials)
        found = carried_out(forger, delete=lambda key: self._blobs.delete([key]))
        detail = f"the store carries out writes that nobody signed ({', '.join(found)})"
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
        """The length of what stands there within a second; a server needs a moment to notice that a line is closed."""
        for _ in range(_LOOKS):
            with suppress(BlobMissing):
                return self._blobs.stat(key).size_bytes
            time.sleep(_BETWEEN_LOOKS_S)
        return None

    @contextmanager
    def _key(self) -> Iterator[str]:
        """A key of its own for one trial; lifecycle collects what a crash leaves."""
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
