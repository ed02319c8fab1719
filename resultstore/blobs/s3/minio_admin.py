"""MinioServer: what only MinIO has (its settings, where it publishes events, accounts), by MinIO's own SDK."""

import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec
import urllib3
from minio import Minio, MinioAdmin
from minio.credentials.credentials import Credentials as Pair
from minio.credentials.providers import Provider
from minio.error import MinioAdminException, MinioException
from minio.notificationconfig import NotificationConfig, PrefixFilterRule, QueueConfig

from resultstore.blobs.s3.certificates import tls_context
from resultstore.blobs.s3.credentials import CredentialSource
from resultstore.blobs.s3.policies import Policy
from resultstore.blobs.s3.target import S3Target
from resultstore.model.errors import BlobStoreUnavailable, Misconfigured, ResultStoreError

_TIMEOUT_S: Final = 20
_RESTART_S: Final = 90
_POLL_S: Final = 0.1
_BROKER: Final = "say how MinIO reaches RabbitMQ in RESULTSTORE_BUCKET_EVENTS_BROKER_URL"
_ARRIVED: Final = "s3:ObjectCreated:*"
_REFUSED: Final = "403"
_UNKNOWN: Final = "404"


class _MinioError(msgspec.Struct, rename="pascal"):
    """MinIO's answer to what it refuses."""

    code: str = ""
    message: str = ""


class _Info(msgspec.Struct, rename={"arns": "sqsARN"}):
    arns: list[str] | None = None


class _MinioAccount(msgspec.Struct):
    policy: str


class MinioServer:
    """A MinIO as its administrator sees it.

    Args:
        target: the bucket, and where the server answers.
        credentials: the root user's, or those of an administrator.
    """

    def __init__(self, target: S3Target, *, credentials: CredentialSource) -> None:
        parts = urlsplit(target.origin)
        wire = urllib3.PoolManager(timeout=_TIMEOUT_S, retries=urllib3.Retry(0), ssl_context=tls_context())
        secure, provider = parts.scheme == "https", _Provided(credentials)
        self._target = target
        self._admin = MinioAdmin(
            endpoint=parts.netloc, credentials=provider, region=target.region, secure=secure, http_client=wire
        )
        self._client = Minio(parts.netloc, credentials=provider, region=target.region, secure=secure, http_client=wire)

    def config(self, name: str) -> Mapping[str, str]:
        """The settings that hold under a name (`api`, `notify_amqp:target`); empty where there are none."""
        area = name.partition(":")[0]
        lines = self._config_text(area).splitlines()
        found = next((line for line in lines if line.split(" ", 1)[0] == name), "")
        return dict(word.split("=", 1) for word in found.split(" ")[1:] if "=" in word)

    def configure(self, name: str, wanted: Mapping[str, str]) -> None:
        """Write settings. Those of events hold from the next `restart` on. Raises Misconfigured with MinIO's reason."""
        for key, value in wanted.items():
            if any(letter.isspace() or letter == '"' for letter in value):
                raise Misconfigured(f"{name} {key} may have neither blanks nor quotes: MinIO's settings are words")
        try:
            self._admin.config_set(name, dict(wanted))
        except (MinioAdminException, urllib3.exceptions.HTTPError) as error:
            raise self._told(error, f"setting {name}") from error

    def publishes_to(self, arn: str) -> bool:
        """Whether it would take a rule for this destination: it does after the restart that follows `configure`."""
        try:
            return arn in (msgspec.json.decode(self._admin.info(), type=_Info).arns or [])
        except (MinioAdminException, urllib3.exceptions.HTTPError) as error:
            raise self._told(error, "reading the destinations of events") from error

    def restart(self) -> None:
        """Restart the server, and wait until it answers: seconds in which requests to it are refused."""
        try:
            self._admin.service_restart()
        except (MinioAdminException, urllib3.exceptions.HTTPError) as error:
            raise self._told(error, "its restart") from error

    def wait_for(self, arn: str) -> None:
        """Wait for a destination of events, after a restart. Raises BlobStoreUnavailable when it does not come."""
        end = time.monotonic() + _RESTART_S
        while time.monotonic() < end:
            try:
                if self.publishes_to(arn):
                    return
            except BlobStoreUnavailable:
                pass  # it is still starting
            time.sleep(_POLL_S)
        raise BlobStoreUnavailable(
            f"MinIO does not publish to {arn} {_RESTART_S} s after its restart: see its log, then run this again"
        )

    def tells(self, rule_id: str, *, arn: str, prefix: str) -> bool:
        """Whether the bucket's rule of this id stands exactly so."""
        return _rule(rule_id, arn=arn, prefix=prefix) in self._rules().queue_config_list

    def tell(self, rule_id: str, *, arn: str, prefix: str) -> None:
        """Write the rule that arrivals below `prefix` are published; every other rule of the bucket stays."""
        standing = self._rules()
        others = [one for one in standing.queue_config_list if one.config_id != rule_id]
        wanted = NotificationConfig(
            queue_config_list=[*others, _rule(rule_id, arn=arn, prefix=prefix)],
            topic_config_list=standing.topic_config_list,
            cloud_func_config_list=standing.cloud_func_config_list,
        )
        try:
            self._client.set_bucket_notification(self._target.bucket, wanted)
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            raise self._told(error, f"the rule {rule_id} for events") from error

    def policy_of(self, access_key: str) -> Policy | None:
        """What a service account may do; None when there is none of this name."""
        try:
            account = msgspec.json.decode(self._admin.get_service_account(access_key), type=_MinioAccount)
        except MinioAdminException as error:
            if error._code == _UNKNOWN:  # noqa: SLF001 - the SDK gives it nowhere else
                return None
            raise self._told(error, f"reading the account {access_key}") from error
        except urllib3.exceptions.HTTPError as error:
            raise self._told(error, f"reading the account {access_key}") from error
        policy: Policy = msgspec.json.decode(account.policy)
        return policy

    def add_account(self, access_key: str, secret_key: str, *, name: str, policy: Policy) -> None:
        """Make a service account that may do what `policy` says."""
        try:
            self._admin.add_service_account(
                access_key=access_key, secret_key=secret_key, name=name, description=name, policy=dict(policy)
            )
        except (MinioAdminException, urllib3.exceptions.HTTPError) as error:
            raise self._told(error, f"making the account {access_key}") from error

    def change_account(self, access_key: str, *, policy: Policy, secret_key: str = "") -> None:
        """Give a standing account this policy, and another secret where one is named."""
        try:
            self._admin.update_service_account(
                access_key=access_key, secret_key=secret_key or None, policy=dict(policy)
            )
        except (MinioAdminException, urllib3.exceptions.HTTPError) as error:
            raise self._told(error, f"changing the account {access_key}") from error

    def remove_account(self, access_key: str) -> None:
        """Remove a service account; one that does not exist is no error."""
        try:
            self._admin.delete_service_account(access_key)
        except MinioAdminException as error:
            if error._code != _UNKNOWN:  # noqa: SLF001 - the SDK gives it nowhere else
                raise self._told(error, f"removing the account {access_key}") from error
        except urllib3.exceptions.HTTPError as error:
            raise self._told(error, f"removing the account {access_key}") from error

    def _config_text(self, area: str) -> str:
        try:
            return self._admin.config_get(area)
        except UnboundLocalError as error:  # config_get loses the true one (minio 7.2.20, minioadmin.py 557)
            raise self._told(error.__context__ or error, f"reading the settings of {area}") from error.__context__
        except (MinioAdminException, urllib3.exceptions.HTTPError) as error:
            raise self._told(error, f"reading the settings of {area}") from error

    def _rules(self) -> NotificationConfig:
        try:
            return self._client.get_bucket_notification(self._target.bucket)
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            raise self._told(error, "reading the bucket's rules for events") from error

    def _told(self, error: BaseException, what: str) -> ResultStoreError:
        if not isinstance(error, MinioAdminException):
            return BlobStoreUnavailable(
                f"{self._target.origin}: {what} failed ({type(error).__name__}): see whether it is a MinIO that is up, "
                "and check RESULTSTORE_S3_ENDPOINT"
            )
        status, answer = error._code, _answer(error._body)  # noqa: SLF001 - the SDK gives them nowhere else
        if status == _REFUSED:
            return Misconfigured(
                f"{self._target.origin}: {what} is not allowed ({answer.code}): run this with the root user's or an "
                "administrator's pair in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        if not answer.code:
            return Misconfigured(f"{self._target.origin} answers {status} to {what}: is it a MinIO?")
        remedy = _BROKER if "amqp" in what else "see MinIO's log"
        return Misconfigured(f"{self._target.origin}: {what} was refused: {answer.message}; {remedy}")


class _Provided(Provider):  # type: ignore[misc, unused-ignore]
    """Our credentials of the moment, as MinIO's SDK takes them."""

    def __init__(self, source: CredentialSource) -> None:
        self._source = source

    def retrieve(self) -> Pair:
        now = self._source()
        return Pair(now.access_key, now.secret_key, now.session_token or None)


def _rule(rule_id: str, *, arn: str, prefix: str) -> QueueConfig:
    return QueueConfig([_ARRIVED], queue=arn, config_id=rule_id, prefix_filter_rule=PrefixFilterRule(prefix))


def _answer(body: str) -> _MinioError:
    try:
        return msgspec.json.decode(body, type=_MinioError)
    except msgspec.DecodeError:
        return _MinioError()
