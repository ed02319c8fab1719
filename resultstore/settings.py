"""Settings: every knob, read from RESULTSTORE_* variables. The only file that reads the environment."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

GIB = 1024**3
DEFAULT_PART_SIZE_BYTES = 8 * 1024 * 1024


class Settings(BaseSettings):
    """How to reach the servers, and the limits that hold.

    Credentials of the object store are not here: boto3's provider chain finds them
    (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, a role ...).
    """

    model_config = SettingsConfigDict(env_prefix="RESULTSTORE_", extra="ignore", frozen=True)

    index_url: str = Field(
        "redis://127.0.0.1:6379/0",
        description="redis://, rediss://, unix://, sentinel://, redis-cluster:// or memory://",
    )
    index_prefix: str = Field("", description="what all keys and channels in Redis begin with; without braces")
    blobs_url: str = Field("", description="s3://bucket/prefix, file:///folder or memory://; empty: no object store")
    broker_url: str = Field("amqp://guest:guest@127.0.0.1:5672//", description="the shipped worker's broker")
    broker_queue: str = Field("celery", description="where the gateway sends work, and the shipped worker takes it")
    secret_key: SecretStr = Field(
        SecretStr(""), description="signs seals, Artifacts and local URLs; the same for all processes, 16 bytes or more"
    )
    secret_key_old: SecretStr = Field(
        SecretStr(""), description="keys that were in use before, by spaces: what they signed is still believed"
    )
    accept_unsigned: bool = Field(
        default=False, description="believe what bears no signature, while a store is changed over to a secret key"
    )

    s3_endpoint: str = Field("", description="how this process reaches the store; empty: AWS")
    s3_public_endpoint: str = Field("", description="what stands in presigned URLs; empty: s3_endpoint")
    s3_region: str = "us-east-1"
    s3_path_style: bool = Field(default=True, description="bucket in the path (MinIO) or in the host name")
    s3_sign_access_key: str = Field("", description="signs URLs to read, instead of what the process itself uses")
    s3_sign_secret_key: SecretStr = Field(SecretStr(""), description="goes with s3_sign_access_key")
    s3_sign_profile: str = Field("", description="an AWS profile that signs URLs to read; renewed before it ends")
    part_size_bytes: Annotated[int, Field(ge=5 * 1024 * 1024)] = DEFAULT_PART_SIZE_BYTES

    retention: str = Field("30d", description="class of Artifacts for which the task names none")
    result_expires_s: Annotated[int, Field(gt=0)] = Field(86_400, description="life of a record without a seal")
    inline_max_bytes: Annotated[int, Field(ge=0)] = Field(16_384, description="plain values above this are sealed")
    spill_keep: Literal["30d", "365d", "keep"] = Field(
        "30d", description="class of values that travel as references: how long a message may wait"
    )
    commit_budget_s: Annotated[float, Field(gt=0)] = Field(30.0, description="how long an unclear seal is pursued")
    url_expires_s: Annotated[int, Field(gt=0, le=604_800)] = Field(900, description="life of a presigned URL")
    url_window_s: Annotated[int, Field(ge=0, le=600)] = Field(
        300, description="for how long a URL stays the same, so that browsers keep what they fetched; 0: never"
    )

    upload_url_expires_s: Annotated[int, Field(gt=0, le=604_800)] = Field(
        3_600, description="life of the URLs by which an upload is sent"
    )
    upload_max_bytes: Annotated[int, Field(gt=0)] = Field(
        64 * GIB, description="the largest upload, whatever its task takes"
    )

    bucket_events_exchange: str = Field(
        "", description="exchange of RabbitMQ to which the object store publishes its events; empty: none"
    )
    bucket_events_broker_url: str = Field(
        "", description="how the object store reaches RabbitMQ, where it is not as broker_url says"
    )

    gateway_host: str = "127.0.0.1"
    gateway_port: int = Field(8080, ge=0, le=65_535)
    gateway_url: str = Field("", description="how browsers reach the gateway; empty: from host and port")
    bytes_host: str = "127.0.0.1"
    bytes_port: int = Field(8081, ge=0, le=65_535)
    bytes_url: str = Field("", description="how browsers reach local blobs; empty: from host and port")

    auth: Literal["open", "tokens", "jwt"] = Field(
        "open", description="how callers are recognised; open: not at all, on loopback only"
    )
    auth_tokens_file: str = Field("", description="for tokens: the file that `resultstore token new` writes")
    jwt_issuer: str = Field("", description="for jwt: what `iss` must say")
    jwt_audience: str = Field("", description="for jwt: what `aud` must name")
    jwt_jwks_url: str = Field("", description="for jwt: where the issuer publishes its keys (RS256, EdDSA)")
    jwt_secret: SecretStr = Field(SecretStr(""), description="for jwt: the shared key of HS256, at least 32 bytes")

    quota_stored_bytes: Annotated[int, Field(ge=0)] = Field(
        50 * GIB, description="what one owner may have stored, with open uploads"
    )
    quota_running: Annotated[int, Field(ge=0)] = Field(200, description="tasks of one owner that wait or run")
    quota_tickets: Annotated[int, Field(ge=0)] = Field(200, description="open uploads of one owner")
    quota_streams: Annotated[int, Field(ge=0)] = Field(20, description="open event streams of one owner")

    webhook_secret: SecretStr = Field(
        SecretStr(""), description="signs webhooks: whsec_ and base64 (several, by spaces, while one follows another)"
    )
    outgoing_ports: str = Field("80,443", description="ports to which webhooks are sent, by commas")
    outgoing_private: str = Field(
        "", description="private networks that webhooks may reach all the same, by commas (10.1.0.0/16)"
    )

    metrics_host: str = Field("127.0.0.1", description="where /metrics listens; it asks for no token")
    metrics_port: int = Field(0, ge=0, le=65_535, description="the port of /metrics; 0: none")
    tracing: bool = Field(
        default=False, description="send OpenTelemetry traces; OTEL_EXPORTER_OTLP_ENDPOINT says where to"
    )
    log_json: bool = Field(default=False, description="JSON log lines instead of coloured ones")
