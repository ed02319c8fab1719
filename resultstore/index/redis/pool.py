"""Connection pool: the pooled connections of one process to Redis."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from resultstore.model.errors import Misconfigured
from resultstore.telemetry.redaction import Secret, split_secret

SOCKET_TIMEOUT_S: Final = 5.0
_CONNECT_TIMEOUT_S: Final = 2.0
_POOL_CONNECTIONS: Final = 64
_SENTINEL_PORT: Final = 26_379
REDIS_PORT: Final = 6_379
CLUSTER_SCHEMES: Final = ("redis-cluster", "rediss-cluster")

Options = Mapping[str, object]

_FORMS: Final = (
    "write redis://[user:password@]host:port/db, rediss://, unix:///path?db=0 or "
    "sentinel://host:26379,host2:26379/db?master_name=name "
    "or redis-cluster://host:port,host2:port, with special characters of the password percent-encoded"
)


def open_pool(url: str, options: Options) -> redis.ConnectionPool:
    """Return a connection pool for `url`. It connects at first use.

    Args:
        url: redis://, rediss:// (TLS), unix:// or sentinel://; redis-py's query options (`socket_timeout=...`) win.
        options: redis-py's arguments of a connection, and for sentinel:// `master_name`, `sentinel_kwargs` and
            `min_other_sentinels`.
    """
    chosen = with_limits(options)
    if urlsplit(url).scheme == "sentinel":
        return _sentinel_pool(url, chosen)
    if urlsplit(url).scheme == "unix":
        chosen.pop("host", None)
        chosen.pop("port", None)
        chosen.pop("socket_connect_timeout", None)
        chosen.pop("socket_keepalive", None)
    return redis.BlockingConnectionPool.from_url(url, timeout=SOCKET_TIMEOUT_S, **chosen)


def with_limits(options: Options) -> dict[str, object]:
    """Return `options` with default limits, and without retries by redis-py."""
    return {
        "max_connections": _POOL_CONNECTIONS,
        "protocol": 2,  # RESP3 is not needed, and RESP2 has a shorter handshake
        "socket_connect_timeout": _CONNECT_TIMEOUT_S,
        "socket_timeout": SOCKET_TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),
        **options,
    }


def address(url: str) -> str:
    """Return what messages may show of `url`: host and port, or the socket's path.

    Raises Misconfigured for an invalid URL.
    """
    try:
        parts = split_secret(url)
        _check_database(parts)
        if parts.scheme == "sentinel":
            return "the master of the sentinels " + ", ".join(f"{host}:{port}" for host, port in _sentinels(parts))
        if parts.scheme in CLUSTER_SCHEMES:
            return "the cluster of " + ", ".join(f"{host}:{port}" for host, port in hosts(parts, REDIS_PORT))
        remote = f"{parts.hostname or '127.0.0.1'}:{parts.port or REDIS_PORT}"
        where = {"redis": remote, "rediss": remote, "unix": parts.path}.get(parts.scheme, "")
        redis.ConnectionPool.from_url(url)
    except ValueError:
        where = ""
    if not where:
        # `from None`: a parser's message may quote a part of the password
        raise Misconfigured(f"RESULTSTORE_INDEX_URL is not the URL of a Redis: {_FORMS}") from None
    return where


def _check_database(parts: SplitResult) -> None:
    """Raise ValueError for a path that is not a database number: redis-py would use database 0."""
    if parts.scheme == "unix":
        return  # its path is the socket's, and redis-py rejects an invalid `?db=`
    path = unquote(parts.path).strip("/")
    is_number = path.isascii() and path.isdecimal()
    if path and not is_number:
        raise ValueError(f"{path!r} is not a database number")
    if parts.scheme in CLUSTER_SCHEMES and path and int(path):
        raise ValueError("a cluster has no databases")


def _sentinel_pool(url: str, options: dict[str, object]) -> redis.ConnectionPool:
    parts = split_secret(url)
    options.pop("host", None)
    options.pop("port", None)
    options |= dict(parse_qsl(parts.query))
    name = options.pop("master_name", None)
    if not isinstance(name, str) or not name:
        raise Misconfigured(
            f"sentinel:// lacks the name of its master: {_FORMS}, or set master_name in the transport options"
        )
    user, _, password = map(Secret, parts.netloc.rpartition("@")[0].partition(":"))
    named = {"username": unquote(user), "password": Secret(unquote(password)), "db": int(parts.path.strip("/") or 0)}
    options |= {key: value for key, value in named.items() if value}
    at_least = int(str(options.pop("min_other_sentinels", 0)))
    given = options.pop("sentinel_kwargs", None) or {}
    if not isinstance(given, dict):
        raise Misconfigured(
            "sentinel_kwargs in the transport options must be a dict of redis-py's connection arguments"
        )
    chosen = {"socket_timeout": SOCKET_TIMEOUT_S, "socket_connect_timeout": _CONNECT_TIMEOUT_S, **given}
    sentinel = Sentinel(_sentinels(parts), min_other_sentinels=at_least, sentinel_kwargs=chosen)  # type: ignore[no-untyped-call]
    pool: redis.ConnectionPool = sentinel.master_for(name, **options).connection_pool  # type: ignore[no-untyped-call]
    return pool


def _sentinels(parts: SplitResult) -> list[tuple[str, int]]:
    return hosts(parts, _SENTINEL_PORT)


def hosts(parts: SplitResult, port: int) -> list[tuple[str, int]]:
    """Return the hosts of a URL, each with its port or the default `port`. Raises ValueError."""
    named = [one.rpartition(":") for one in parts.netloc.rpartition("@")[2].split(",")]
    return [(host or last, int(last) if host else port) for host, _, last in named]
