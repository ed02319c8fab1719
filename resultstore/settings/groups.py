"""Groups: every setting, declared once: its type, default, bounds and one line about it."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeVar, cast

import msgspec

GIB = 1024**3
DEFAULT_PART_SIZE_BYTES = 8 * 1024 * 1024
_Value = TypeVar("_Value")


class Setting(msgspec.Struct, frozen=True):
    """What is declared of one setting.

    Args:
        default: its value where neither the caller nor the environment gives one.
        about: one line for the reference.
        bounds: arguments of msgspec.Meta, such as `ge` and `le`.
        secret: True keeps it out of every repr.
        name: its name in `Settings(...)` and, in capitals after RESULTSTORE_, in the environment; "" derives it.
    """

    default: object
    about: str
    bounds: dict[str, Any]
    secret: bool = False
    name: str = ""


def _setting(default: _Value, about: str = "", *, secret: bool = False, name: str = "", **bounds: float) -> _Value:
    """Declare one field of a group."""
    return cast("_Value", field(repr=not secret, metadata={"setting": Setting(default, about, bounds, secret, name)}))


@dataclass(frozen=True, kw_only=True)
class Group:
    """Some settings of one concern; `prefix` begins their names in `Settings(...)` and in the environment."""

    prefix: ClassVar[str] = ""


@dataclass(frozen=True, kw_only=True)
class IndexSettings(Group):
    """Where records are kept."""

    prefix: ClassVar[str] = "index_"
    url: str = _setting(
        "redis://127.0.0.1:6379/0", "redis://, rediss://, unix://, sentinel://, redis-cluster:// or memory://"
    )
    key_prefix: str = _setting(
        "", "what all keys and channels in Redis begin with; without braces", name="index_prefix"
    )


@dataclass(frozen=True, kw_only=True)
class BlobSettings(Group):
    """Where large outputs are kept."""

    prefix: ClassVar[str] = "blobs_"
    url: str = _setting("", "s3://bucket/prefix, file:///folder or memory://; empty: no object store")
    for_group: bool = _setting(
        default=False, about="files in a folder of blobs are for its group too (0660), not for their owner alone (0600)"
    )
    part_size_bytes: int = _setting(DEFAULT_PART_SIZE_BYTES, ge=5 * 1024 * 1024, name="part_size_bytes")


@dataclass(frozen=True, kw_only=True)
class BrokerSettings(Group):
    """The message broker of the shipped worker."""

    prefix: ClassVar[str] = "broker_"
    url: str = _setting("amqp://guest:guest@127.0.0.1:5672//", "the shipped worker's broker")
    queue: str = _setting("celery", "where the gateway sends work, and the shipped worker takes it")


@dataclass(frozen=True, kw_only=True)
class SecuritySettings(Group):
    """What is signed, and what is accepted without a signature."""

    secret_key: str = _setting(
        "", "signs seals, Artifacts and local URLs; the same for all processes, 16 bytes or more", secret=True
    )
    secret_key_old: str = _setting("", "earlier keys, by spaces: what they signed is still accepted", secret=True)
    system_tasks: str = _setting(
        "", "tasks that may read for any owner (`on_behalf_of`), by commas; `reports.*` names all with that prefix"
    )
    accept_unsigned: bool = _setting(
        default=False, about="accept data without a signature, while a store is changed over to a secret key"
    )
    accept_forgeable_store: bool = _setting(
        default=False, about="use a store that carries out unsigned writes (docs/how-to/minio.md)"
    )


@dataclass(frozen=True, kw_only=True)
class S3Settings(Group):
    """How to reach an S3. Credentials are found by boto3's provider chain."""

    prefix: ClassVar[str] = "s3_"
    endpoint: str = _setting("", "how this process reaches the store; empty: AWS")
    public_endpoint: str = _setting("", "the endpoint in presigned URLs; empty: s3_endpoint")
    region: str = _setting("us-east-1")
    path_style: bool = _setting(default=True, about="bucket in the path (MinIO) or in the host name")
    sign_access_key: str = _setting("", "signs URLs to read, instead of this process's own credentials")
    sign_secret_key: str = _setting("", "goes with s3_sign_access_key", secret=True)
    sign_profile: str = _setting("", "an AWS profile that signs URLs to read; renewed before it expires")
    upload_sign_access_key: str = _setting("", "signs URLs to upload, instead of this process's own credentials")
    upload_sign_secret_key: str = _setting("", "goes with s3_upload_sign_access_key", secret=True)
    upload_sign_profile: str = _setting("", "an AWS profile that signs URLs to upload; renewed before it expires")
    setup_accounts: str = _setting(
        "",
        "accounts that `setup minio` makes with keys of yours: role=key:secret, by spaces",
        secret=True,
        name="setup_accounts",
    )


@dataclass(frozen=True, kw_only=True)
class ResultSettings(Group):
    """How results are kept."""

    retention: str = _setting("30d", "retention class of Artifacts for which the task names none")
    expires_s: int = _setting(86_400, "time to live of a record without a seal", gt=0, name="result_expires_s")
    inline_max_bytes: int = _setting(16_384, "plain values above this are sealed", ge=0)
    spill_keep: Literal["30d", "365d", "keep"] = _setting(
        "30d", "retention class of spilled values: how long a message may wait"
    )
    max_runs: int = _setting(
        3, "runs of one task (Celery; Dramatiq over RabbitMQ) that may lose their worker process; 0: no limit", ge=0
    )
    temp_file_max_bytes: int = _setting(
        16 * GIB, "the largest temporary file of `Store.writer(seekable=True)`, in TMPDIR", gt=0
    )
    commit_budget_s: float = _setting(30.0, "how long to retry a seal whose outcome is unknown", gt=0)


@dataclass(frozen=True, kw_only=True)
class UrlSettings(Group):
    """Presigned URLs to read."""

    prefix: ClassVar[str] = "url_"
    expires_s: int = _setting(900, "time to live of a presigned URL", gt=0, le=604_800)
    inline_pdf: bool = _setting(
        default=False, about="let browsers show PDF inline where a link asks for it", name="inline_pdf"
    )
    window_s: int = _setting(300, "how long a URL stays the same, so that browsers cache; 0: never", ge=0, le=600)


@dataclass(frozen=True, kw_only=True)
class UploadSettings(Group):
    """Uploads by clients."""

    prefix: ClassVar[str] = "upload_"
    url_expires_s: int = _setting(3_600, "time to live of upload URLs", gt=0, le=604_800)
    max_bytes: int = _setting(64 * GIB, "the largest upload, whatever its task takes", gt=0)


@dataclass(frozen=True, kw_only=True)
class BucketEventSettings(Group):
    """Notifications of the object store by RabbitMQ."""

    prefix: ClassVar[str] = "bucket_events_"
    exchange: str = _setting("", "exchange of RabbitMQ to which the object store publishes its events; empty: none")
    broker_url: str = _setting("", "how the object store reaches RabbitMQ, where not by broker_url")


@dataclass(frozen=True, kw_only=True)
class GatewaySettings(Group):
    """The HTTP gateway."""

    prefix: ClassVar[str] = "gateway_"
    host: str = _setting("127.0.0.1")
    port: int = _setting(8080, ge=0, le=65_535)
    url: str = _setting("", "how browsers reach the gateway; empty: from host and port")
    offers: str = _setting(
        "", "the Offers as `module:name`, a mapping by task; empty: the tasks that workers register", name="offers"
    )
    connections_per_address: int = _setting(
        1_000,
        "open connections from one address (IPv6: /64); behind a proxy, what the proxy needs",
        gt=0,
        name="connections_per_address",
    )
    archive_max_bytes: int = _setting(
        10 * GIB, "bytes of one ZIP of results, which the gateway sends itself", gt=0, name="archive_max_bytes"
    )
    archives_at_once: int = _setting(8, "ZIPs that one gateway sends at the same time", gt=0, name="archives_at_once")


@dataclass(frozen=True, kw_only=True)
class LocalBytesSettings(Group):
    """The listener that serves the bytes of a local store."""

    prefix: ClassVar[str] = "bytes_"
    host: str = _setting("127.0.0.1")
    port: int = _setting(8081, ge=0, le=65_535)
    url: str = _setting("", "how browsers reach local blobs; empty: from host and port")


@dataclass(frozen=True, kw_only=True)
class IdentitySettings(Group):
    """How the gateway authenticates its callers."""

    auth: Literal["open", "tokens", "jwt"] = _setting("open", "authentication; open: none, on loopback only")
    sign_in_url: str = _setting(
        "", "where the page sends a user without a session; empty: it asks for a token", name="sign_in_url"
    )
    token_origins: str = _setting(
        "",
        "origins whose pages may pass a token to the page, in a link with `#token=`, by spaces; its own always may",
        name="token_origins",
    )
    open_behind_proxy: bool = _setting(
        default=False, about="for open: accept requests from a proxy on this machine, which alone checks the callers"
    )
    tokens_file: str = _setting("", "for tokens: the file that `resultstore token new` writes", name="auth_tokens_file")
    jwt_issuer: str = _setting("", "for jwt: the required `iss`")
    jwt_audience: str = _setting("", "for jwt: the required `aud`")
    jwt_jwks_url: str = _setting("", "for jwt: where the issuer publishes its keys (RS256, EdDSA)")
    jwt_secret: str = _setting("", "for jwt: the shared key of HS256, at least 32 bytes", secret=True)


@dataclass(frozen=True, kw_only=True)
class QuotaSettings(Group):
    """What one owner may have."""

    prefix: ClassVar[str] = "quota_"
    stored_bytes: int = _setting(50 * GIB, "bytes stored of one owner, open uploads included", ge=0)
    running: int = _setting(200, "tasks of one owner that wait or run", ge=0)
    tickets: int = _setting(200, "open uploads of one owner", ge=0)
    streams: int = _setting(20, "open event streams of one owner", ge=0)


@dataclass(frozen=True, kw_only=True)
class WebhookSettings(Group):
    """HTTP notifications when a task ends."""

    prefix: ClassVar[str] = "webhook_"
    url: str = _setting("", "the webhook for tasks whose client and offer name none; empty: none")
    secret: str = _setting(
        "", "signs webhooks: whsec_ and base64; several, by spaces, while keys are rotated", secret=True
    )
    outgoing_ports: str = _setting("80,443", "ports that webhooks may use, by commas", name="outgoing_ports")
    outgoing_private: str = _setting(
        "", "private networks that webhooks may reach, by commas (10.1.0.0/16)", name="outgoing_private"
    )


@dataclass(frozen=True, kw_only=True)
class TelemetrySettings(Group):
    """Metrics, traces, logs."""

    metrics_host: str = _setting("127.0.0.1", "the address of /metrics, which asks for no token")
    metrics_port: int = _setting(0, "the port of /metrics; 0: none", ge=0, le=65_535)
    tracing: bool = _setting(default=False, about="send OpenTelemetry traces, to OTEL_EXPORTER_OTLP_ENDPOINT")
    log_json: bool = _setting(default=False, about="JSON log lines instead of coloured ones")
