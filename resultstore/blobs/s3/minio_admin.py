"""MinioServer: administration that only MinIO has (settings, event destinations, accounts), by its own SDK."""

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
    """MinIO's answer to a refused request."""

    code: str = ""
    message: str = ""


class _Info(msgspec.Struct, rename={"arns": "sqsARN"}):
    arns: list[str] | None = None


class _MinioAccount(msgspec.Struct):
    policy: str


class MinioServer:
    """Administers a MinIO.

    Args:
        target: the bucket, and the server's endpoint.
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
        """Return the settings under a name (`api`, `notify_amqp:target`); empty if there are none."""
        area = name.partition(":")[0]
        lines = self._config_text(area).splitlines()
        found = next((line for line in lines if line.split(" ", 1)[0] == name), "")
        return dict(word.split("=", 1) for word in found.split(" ")[1:] if "=" in word)

    def configure(self, name: str, wanted: Mapping[str, str]) -> None:
        """Write settings. Those of events apply after the next `restart`. Raises Misconfigured with MinIO's reason."""
        for key, value in wanted.items():
            if any(letter.isspace() or letter == '"' for letter in value):
                raise Misconfigured(f"{name} {key} must not contain blanks or quotes")
        try:
            self._admin.config_set(name, dict(wanted))
        except (MinioAdminException, urllib3.exceptions.HTTPError) as error:
            raise self._as_error(error, f"setting {name}") from error

    def publishes_to(self, arn: str) -> bool:
        """Return True if MinIO accepts rules for this destination: after `configure` and a restart."""
        try:
            return arn in (msgspec.json.decode(self._admin.info(), type=_Info).arns or [])
        except (MinioAdminException, urllib3.exceptions.HTTPError) as error:
            raise self._as_error(error, "reading the destinations of events") from error

    def restart(self) -> None:
        """Restart the server. Requests to it are refused for some seconds."""
        try:
            self._admin.service_restart()
        except (MinioAdminException, urllib3.exceptions.HTTPError) as error:
            raise self._as_error(error, "its restart") from error

    def wait_for(self, arn: str) -> None:
        """Wait until a destination of events is ready after a restart. Raises BlobStoreUnavailable if it never is."""
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

    def has_event_rule(self, rule_id: str, *, arn: str, prefix: str) -> bool:
        """Return True if the bucket has exactly this rule under this id."""
        return _rule(rule_id, arn=arn, prefix=prefix) in self._rules().queue_config_list

    def put_event_rule(self, rule_id: str, *, arn: str, prefix: str) -> None:
        """Write the rule that publishes arrivals below `prefix`. Every other rule of the bucket is kept."""
        present = self._rules()
        others = [one for one in present.queue_config_list if one.config_id != rule_id]
        wanted = NotificationConfig(
            queue_config_list=[*others, _rule(rule_id, arn=arn, prefix=prefix)],
            topic_config_list=present.topic_config_list,
            cloud_func_config_list=present.cloud_func_config_list,
        )
        try:
            self._client.set_bucket_notification(self._target.bucket, wanted)
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            raise self._as_error(error, f"the rule {rule_id} for events") from error

    def policy_of(self, access_key: str) -> Policy | None:
        """Return the policy of a service account, or None if there is no such account."""
        try:
            account = msgspec.json.decode(self._admin.get_service_account(access_key), type=_MinioAccount)
        except MinioAdminException as error:
            if error._code == _UNKNOWN:  # noqa: SLF001 - the SDK has no public name for it
                return None
            raise self._as_error(error, f"reading the account {access_key}") from error
        except urllib3.exceptions.HTTPError as error:
            raise self._as_error(error, f"reading the account {access_key}") from error
        policy: Policy = msgspec.json.decode(account.policy)
        return policy

    def add_account(self, access_key: str, secret_key: str, *, name: str, policy: Policy) -> None:
        """Make a service account with this policy."""
        try:
            self._admin.add_service_account(
                access_key=access_key, secret_key=secret_key, name=name, description=name, policy=dict(policy)
            )
        except (MinioAdminException, urllib3.exceptions.HTTPError) as error:
            raise self._as_error(error, f"making the account {access_key}") from error

    def change_account(self, access_key: str, *, policy: Policy, secret_key: str = "") -> None:
        """Give an existing account this policy, and a new secret if one is given."""
        try:
            self._admin.update_service_account(
                access_key=access_key, secret_key=secret_key or None, policy=dict(policy)
            )
        except (MinioAdminException, urllib3.exceptions.HTTPError) as error:
            raise self._as_error(error, f"changing the account {access_key}") from error

    def remove_account(self, access_key: str) -> None:
        """Delete a service account. One that does not exist is no error."""
        try:
            self._admin.delete_service_account(access_key)
        except MinioAdminException as error:
            if error._code != _UNKNOWN:  # noqa: SLF001 - the SDK has no public name for it
                raise self._as_error(error, f"removing the account {access_key}") from error
        except urllib3.exceptions.HTTPError as error:
            raise self._as_error(error, f"removing the account {access_key}") from error

    def _config_text(self, area: str) -> str:
        try:
            return self._admin.config_get(area)
        except UnboundLocalError as error:  # config_get hides the real error (minio 7.2.20, minioadmin.py 557)
            raise self._as_error(error.__context__ or error, f"reading the settings of {area}") from error.__context__
        except (MinioAdminException, urllib3.exceptions.HTTPError) as error:
            raise self._as_error(error, f"reading the settings of {area}") from error

    def _rules(self) -> NotificationConfig:
        try:
            return self._client.get_bucket_notification(self._target.bucket)
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            raise self._as_error(error, "reading the bucket's rules for events") from error

    def _as_error(self, error: BaseException, what: str) -> ResultStoreError:
        if not isinstance(error, MinioAdminException):
            return BlobStoreUnavailable(
                f"{self._target.origin}: {what} failed ({type(error).__name__}): check that a MinIO is running there, "
                "and RESULTSTORE_S3_ENDPOINT"
            )
        status, answer = error._code, _answer(error._body)  # noqa: SLF001 - the SDK has no public names for them
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
    """Adapts a CredentialSource to MinIO's SDK."""

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
