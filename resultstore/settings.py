"""Settings: every knob, read from RESULTSTORE_* variables. The only file that reads the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, cast, get_type_hints

import msgspec
from msgspec import Meta

from resultstore.model.errors import BadSetting
from resultstore.telemetry.redaction import Secret, secret_url

GIB = 1024**3
DEFAULT_PART_SIZE_BYTES = 8 * 1024 * 1024
_PREFIX = "RESULTSTORE_"
_Value = TypeVar("_Value")


class _Setting(msgspec.Struct, frozen=True):
    """Stands where the caller gave nothing: then it is the environment's turn, and then that of `default`."""

    default: object
    about: str
    bounds: dict[str, Any]
    secret: bool = False


def _setting(default: _Value, about: str = "", *, secret: bool = False, **bounds: float) -> _Value:
    """A field. `about` says in the documents what it is for; `bounds` are msgspec.Meta's."""
    return cast("_Value", field(default=_Setting(default, about, bounds, secret), repr=not secret))


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to reach the servers, and the limits that hold. What is not given stands in RESULTSTORE_*, or is a default.

    Credentials of the object store are not here: boto3's provider chain finds them
    (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, a role ...).

    Raises BadSetting, which names every value that does not fit.
    """

    index_url: str = _setting(
        "redis://127.0.0.1:6379/0", "redis://, rediss://, unix://, sentinel://, redis-cluster:// or memory://"
    )
    index_prefix: str = _setting("", "what all keys and channels in Redis begin with; without braces")
    blobs_url: str = _setting("", "s3://bucket/prefix, file:///folder or memory://; empty: no object store")
    blobs_for_group: bool = _setting(
        default=False, about="files in a folder of blobs are for its group too (0660), not for their owner alone (0600)"
    )
    broker_url: str = _setting("amqp://guest:guest@127.0.0.1:5672//", "the shipped worker's broker")
    broker_queue: str = _setting("celery", "where the gateway sends work, and the shipped worker takes it")
    offers: str = _setting(
        "", "what the gateway offers: `module:name` of Offers by their tasks; empty: what a worker has registered"
    )
    secret_key: str = _setting(
        "", "signs seals, Artifacts and local URLs; the same for all processes, 16 bytes or more", secret=True
    )
    secret_key_old: str = _setting(
        "", "keys that were in use before, by spaces: what they signed is still believed", secret=True
    )
    system_tasks: str = _setting(
        "", "tasks that may read for any owner (`on_behalf_of`), by commas; `reports.*` names all that begin so"
    )
    accept_unsigned: bool = _setting(
        default=False, about="believe what bears no signature, while a store is changed over to a secret key"
    )

    s3_endpoint: str = _setting("", "how this process reaches the store; empty: AWS")
    s3_public_endpoint: str = _setting("", "what stands in presigned URLs; empty: s3_endpoint")
    s3_region: str = _setting("us-east-1")
    s3_path_style: bool = _setting(default=True, about="bucket in the path (MinIO) or in the host name")
    s3_sign_access_key: str = _setting("", "signs URLs to read, instead of what the process itself uses")
    s3_sign_secret_key: str = _setting("", "goes with s3_sign_access_key", secret=True)
    s3_sign_profile: str = _setting("", "an AWS profile that signs URLs to read; renewed before it ends")
    s3_upload_sign_access_key: str = _setting("", "signs URLs to upload, instead of what the process itself uses")
    s3_upload_sign_secret_key: str = _setting("", "goes with s3_upload_sign_access_key", secret=True)
    s3_upload_sign_profile: str = _setting("", "an AWS profile that signs URLs to upload; renewed before it ends")
    setup_accounts: str = _setting(
        "", "accounts that `setup minio` makes with keys of yours: role=key:secret, by spaces", secret=True
    )
    accept_forgeable_store: bool = _setting(
        default=False, about="use a store that carries out writes which nobody signed (docs/how-to/minio.md)"
    )
    part_size_bytes: int = _setting(DEFAULT_PART_SIZE_BYTES, ge=5 * 1024 * 1024)

    retention: str = _setting("30d", "class of Artifacts for which the task names none")
    result_expires_s: int = _setting(86_400, "life of a record without a seal", gt=0)
    inline_max_bytes: int = _setting(16_384, "plain values above this are sealed", ge=0)
    spill_keep: Literal["30d", "365d", "keep"] = _setting(
        "30d", "class of values that travel as references: how long a message may wait"
    )
    max_runs: int = _setting(
        3, "runs of one task (Celery; Dramatiq over RabbitMQ) that may lose their worker process; 0: no limit", ge=0
    )
    commit_budget_s: float = _setting(30.0, "how long an unclear seal is pursued", gt=0)
    url_expires_s: int = _setting(900, "life of a presigned URL", gt=0, le=604_800)
    url_window_s: int = _setting(
        300, "for how long a URL stays the same, so that browsers keep what they fetched; 0: never", ge=0, le=600
    )

    upload_url_expires_s: int = _setting(3_600, "life of the URLs by which an upload is sent", gt=0, le=604_800)
    upload_max_bytes: int = _setting(64 * GIB, "the largest upload, whatever its task takes", gt=0)

    bucket_events_exchange: str = _setting(
        "", "exchange of RabbitMQ to which the object store publishes its events; empty: none"
    )
    bucket_events_broker_url: str = _setting(
        "", "how the object store reaches RabbitMQ, where it is not as broker_url says"
    )

    gateway_host: str = _setting("127.0.0.1")
    gateway_port: int = _setting(8080, ge=0, le=65_535)
    gateway_url: str = _setting("", "how browsers reach the gateway; empty: from host and port")
    connections_per_address: int = _setting(
        1_000, "open connections from one address (IPv6: /64); behind a proxy, what it needs", gt=0
    )
    bytes_host: str = _setting("127.0.0.1")
    bytes_port: int = _setting(8081, ge=0, le=65_535)
    bytes_url: str = _setting("", "how browsers reach local blobs; empty: from host and port")

    auth: Literal["open", "tokens", "jwt"] = _setting(
        "open", "how callers are recognised; open: not at all, on loopback only"
    )
    open_behind_proxy: bool = _setting(
        default=False, about="for open: answer what a proxy on this machine passes on; it alone checks who may come in"
    )
    auth_tokens_file: str = _setting("", "for tokens: the file that `resultstore token new` writes")
    jwt_issuer: str = _setting("", "for jwt: what `iss` must say")
    jwt_audience: str = _setting("", "for jwt: what `aud` must name")
    jwt_jwks_url: str = _setting("", "for jwt: where the issuer publishes its keys (RS256, EdDSA)")
    jwt_secret: str = _setting("", "for jwt: the shared key of HS256, at least 32 bytes", secret=True)

    quota_stored_bytes: int = _setting(50 * GIB, "what one owner may have stored, with open uploads", ge=0)
    quota_running: int = _setting(200, "tasks of one owner that wait or run", ge=0)
    quota_tickets: int = _setting(200, "open uploads of one owner", ge=0)
    quota_streams: int = _setting(20, "open event streams of one owner", ge=0)

    webhook_url: str = _setting(
        "", "where word of every end is sent for which neither client nor offer names another; empty: nowhere"
    )
    webhook_secret: str = _setting(
        "", "signs webhooks: whsec_ and base64 (several, by spaces, while one follows another)", secret=True
    )
    outgoing_ports: str = _setting("80,443", "ports to which webhooks are sent, by commas")
    outgoing_private: str = _setting(
        "", "private networks that webhooks may reach all the same, by commas (10.1.0.0/16)"
    )

    metrics_host: str = _setting("127.0.0.1", "where /metrics listens; it asks for no token")
    metrics_port: int = _setting(0, "the port of /metrics; 0: none", ge=0, le=65_535)
    tracing: bool = _setting(
        default=False, about="send OpenTelemetry traces; OTEL_EXPORTER_OTLP_ENDPOINT says where to"
    )
    log_json: bool = _setting(default=False, about="JSON log lines instead of coloured ones")

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> "Settings":
        """The settings among environment variables of another process; this one's say the rest."""
        names = {name: _PREFIX + name.upper() for name in settings_known()}
        return cls(**{name: variables[one] for name, one in names.items() if one in variables})  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        wrong = []
        for name, (wanted, setting) in settings_known().items():
            given = getattr(self, name)
            if isinstance(given, _Setting):
                given = os.environ.get(_PREFIX + name.upper(), setting.default)
            try:
                taken = msgspec.convert(given, wanted, strict=False)
                object.__setattr__(self, name, _guarded(taken, setting))
            except msgspec.ValidationError as error:  # it tells types and bounds, never the value
                wrong.append(f"{_PREFIX}{name.upper()}: {error}")
        if wrong:
            raise BadSetting(f"a setting is wrong: {'; '.join(wrong)}")


def _guarded(value: object, setting: _Setting) -> object:
    """Return text with a secret in it as a Secret: frames of a traceback and their local variables show its repr."""
    if not isinstance(value, str):
        return value
    if setting.secret:
        return Secret(value)
    return secret_url(value) if "://" in value else value


@cache
def settings_known() -> dict[str, tuple[Any, _Setting]]:
    """The type of each setting, with its bounds, and what else is said of it."""
    types = get_type_hints(Settings)
    found: dict[str, _Setting] = {one.name: one.default for one in fields(Settings)}  # type: ignore[misc]
    return {name: (Annotated[types[name], Meta(**one.bounds)], one) for name, one in found.items()}
