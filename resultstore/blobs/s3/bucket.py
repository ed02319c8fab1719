"""S3Bucket: the control plane of a bucket (creation, lifecycle rules, unfinished uploads), by boto3."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

from resultstore.blobs.obstore.retry import Retries
from resultstore.blobs.s3.credential_chain import CredentialChain
from resultstore.blobs.s3.credentials import Credentials, CredentialSource
from resultstore.blobs.s3.errors import S3Failure
from resultstore.blobs.s3.target import S3Target
from resultstore.model.errors import NotSupported, ResultStoreError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import LifecycleRuleTypeDef

T = TypeVar("T")

# A lifecycle rule as GetBucketLifecycleConfiguration answers it, and as PutBucketLifecycleConfiguration takes it.
RuleDocument = Mapping[str, object]

_US_EAST_1 = "us-east-1"  # the one region that must not be named when a bucket is made
_NOT_FOUND = 404
_CONFLICT = 409


class S3Bucket:
    """Reads and writes one bucket's configuration.

    Args:
        target: the bucket and how to reach it.
        credentials: returns the current access key; boto3's provider chain unless given.
        retries: how often an idempotent request is sent again.
    """

    def __init__(
        self, target: S3Target, *, credentials: CredentialSource | None = None, retries: Retries | None = None
    ) -> None:
        self.target = target
        self._credentials = credentials or CredentialChain()
        self._retries = retries or Retries()
        self._made: tuple[int, Credentials, S3Client] | None = None

    def ensure(self) -> bool:
        """Make the bucket unless it exists. Return True if it was made. Raises BlobStoreUnavailable."""
        if self.exists():
            return False
        try:
            self.send(self._create)
        except RequestFailed as refusal:
            # Another process made it since, or the answer to the first try was lost.
            if refusal.failure.code == "BucketAlreadyOwnedByYou":
                return False
            raise refusal.as_error("creation of the bucket") from refusal
        return True

    def exists(self) -> bool:
        """Return True if the bucket exists. Raises BlobStoreUnavailable."""
        try:
            self.send(lambda client: client.head_bucket(Bucket=self.target.bucket))
        except RequestFailed as refusal:
            if refusal.failure.status == _NOT_FOUND:
                return False
            raise refusal.as_error("the bucket") from refusal
        return True

    def lifecycle(self) -> Sequence[RuleDocument]:
        """Return all lifecycle rules, also those of others. Raises BlobStoreUnavailable if the store has no rules."""
        try:
            answer = self.send(lambda client: client.get_bucket_lifecycle_configuration(Bucket=self.target.bucket))
        except RequestFailed as refusal:
            if refusal.failure.code == "NoSuchLifecycleConfiguration":
                return ()
            raise refusal.as_error("reading of the lifecycle rules") from refusal
        return cast("Sequence[RuleDocument]", answer.get("Rules", []))

    def update_lifecycle(self, merge: Callable[[Sequence[RuleDocument]], Sequence[RuleDocument]]) -> bool:
        """Read all rules, pass them to `merge`, and write what it returns. Return True if anything was written.

        The configuration is one document: `merge` must return the rules of others too. A rule that another program
        writes between this reading and this writing is lost. Raises BlobStoreUnavailable; NotSupported where the store
        has no rules, or answers 409.
        """
        present = self.lifecycle()
        wanted = merge(present)
        if sorted(map(_identity, wanted)) == sorted(map(_identity, present)):
            return False
        what = "writing of the lifecycle rules"
        try:
            self.send(lambda client: self._write_rules(client, wanted))
        except RequestFailed as refusal:
            if refusal.failure.status == _CONFLICT:
                summary = refusal.failure.summary
                raise NotSupported(
                    f"{what}: {self.target.where} refuses it ({summary}): see `resultstore doctor`"
                ) from refusal
            raise refusal.as_error(what) from refusal
        return True

    def abort_uploads(self, key: str) -> int:
        """Abort every unfinished multipart upload of exactly this key. Return how many there were."""
        name = self.target.object_key(key)
        listed = self.run(
            # MinIO lists by exact key only, S3 by prefix: this suits both.
            lambda client: client.list_multipart_uploads(Bucket=self.target.bucket, Prefix=name),
            what=f"listing of unfinished uploads of {key}",
        )
        ids = [one["UploadId"] for one in listed.get("Uploads", ()) if one["Key"] == name]
        for upload_id in ids:
            self.abort_upload(key, upload_id=upload_id)
        return len(ids)

    def abort_upload(self, key: str, *, upload_id: str) -> None:
        """Abort one unfinished multipart upload. One that is over already is no error."""
        name = self.target.object_key(key)
        try:
            self.send(
                lambda client: client.abort_multipart_upload(Bucket=self.target.bucket, Key=name, UploadId=upload_id)
            )
        except RequestFailed as refusal:
            if refusal.failure.code != "NoSuchUpload":
                raise refusal.as_error(f"abortion of an upload of {key}") from refusal

    def client(self) -> "S3Client":
        """Return boto3's client of this process, for what has no method here. Its errors are botocore's own."""
        credentials = self._credentials()
        if self._made is None or self._made[:2] != (os.getpid(), credentials):
            from resultstore.blobs.s3.boto_client import make_client  # noqa: PLC0415 - see there

            self._made = (os.getpid(), credentials, make_client(self.target, credentials))
        return self._made[2]

    def send(self, request: "Callable[[S3Client], T]") -> T:
        """Send an idempotent request until it succeeds, is refused, or tries are used up. Raises RequestFailed."""
        from resultstore.blobs.s3.boto_client import ERRORS  # noqa: PLC0415 - see there

        client, pauses = self.client(), self._retries.pauses()
        while True:
            try:
                return request(client)
            except ERRORS as error:
                failure = S3Failure.of(error)
                pause_s = next(pauses, None) if failure.transient else None
                if pause_s is None:
                    raise RequestFailed(failure, where=self.target.where) from error
                time.sleep(pause_s)

    def run(self, request: "Callable[[S3Client], T]", *, what: str) -> T:
        """Call `send`; convert what it raises to an error of resultstore about `what`."""
        try:
            return self.send(request)
        except RequestFailed as refusal:
            raise refusal.as_error(what) from refusal

    def _create(self, client: "S3Client") -> None:
        if self.target.region == _US_EAST_1:
            client.create_bucket(Bucket=self.target.bucket)
            return
        client.create_bucket(
            Bucket=self.target.bucket,
            CreateBucketConfiguration={"LocationConstraint": self.target.region},  # type: ignore[typeddict-item]  # any name, not only AWS's regions
        )

    def _write_rules(self, client: "S3Client", wanted: Sequence[RuleDocument]) -> None:
        if not wanted:
            client.delete_bucket_lifecycle(Bucket=self.target.bucket)  # a configuration without rules is refused
            return
        rules = cast("Sequence[LifecycleRuleTypeDef]", wanted)
        client.put_bucket_lifecycle_configuration(Bucket=self.target.bucket, LifecycleConfiguration={"Rules": rules})


class RequestFailed(Exception):
    """A request failed for good. The driver converts it to an error of resultstore before it leaves the package."""

    def __init__(self, failure: S3Failure, *, where: str) -> None:
        super().__init__(failure.summary)
        self.failure = failure
        self._where = where

    def as_error(self, what: str) -> ResultStoreError:
        """Return the error that `what` failed with."""
        return self.failure.error(self._where, what)


def _identity(rule: RuleDocument) -> str:
    return repr(sorted(rule.items()))
