"""URLs: reads our settings from a backend URL and from Celery's settings."""

import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
import redis
from celery.app.defaults import DEFAULTS
from kombu.utils.imports import symbol_by_name

from resultstore.model.errors import Misconfigured
from resultstore.settings import Settings, settings_known
from resultstore.telemetry.redaction import Secret, secret_url, split_secret

PREFIX: Final = "resultstore+"  # turns a Redis URL into one of this backend
_SCHEMES: Final = {
    **{name: name for name in ("redis", "rediss", "unix", "sentinel", "redis-cluster", "rediss-cluster")},
    "socket": "unix",
    "redis+socket": "unix",
}
_PREFIX_ENDS: Final = ":_-."  # Celery adds a "_" to a prefix that does not end in one of these
# Celery's settings that are redis-py's arguments by another name.
_ARGUMENTS: Final = {
    "redis_max_connections": "max_connections",
    "redis_socket_timeout": "socket_timeout",
    "redis_socket_connect_timeout": "socket_connect_timeout",
    "redis_socket_keepalive": "socket_keepalive",
    "redis_backend_health_check_interval": "health_check_interval",
    "redis_client_name": "client_name",
    "redis_host": "host",
    "redis_port": "port",
    "redis_db": "db",
    "redis_username": "username",
    "redis_password": "password",
}
_DEFAULTS: Final = {"redis_socket_timeout": DEFAULTS["redis_socket_timeout"]}
_SENTINEL_OPTIONS: Final = ("master_name", "sentinel_kwargs", "min_other_sentinels")
_LEGACY: Final = ("legacy_redis", "publish_legacy")
_SWITCHES: Final = (*_LEGACY, "track_sent")
_CERT_REQS: Final = {"CERT_NONE": "none", "CERT_OPTIONAL": "optional", "CERT_REQUIRED": "required"}


class BackendUrl(msgspec.Struct, frozen=True):
    """The servers of a backend: its settings, and Redis options that no URL can hold."""

    settings: Settings
    redis_options: dict[str, object]
    legacy_redis: bool = False  # also read the records of Celery's own backend
    publish_legacy: bool = False  # also write such records
    track_sent: bool = False  # distinguish an id that was sent from an unknown one


def read_servers(url: str | None, conf: Any) -> BackendUrl:  # noqa: ANN401 - Celery's settings have no type
    """Read the URL, then the transport options, then `resultstore_*` and `redis_*` settings, then RESULTSTORE_*.

    Raises Misconfigured, which names the setting, for an unknown scheme.
    """
    url, conf = url and secret_url(url), _HiddenSettings(conf)
    transport = _HiddenSettings(conf.get("result_backend_transport_options") or {})
    chosen: dict[str, object] = {}
    for name, (_, setting) in settings_known().items():
        value = transport.get(name, conf.get(f"resultstore_{name}"))
        if value is not None:
            chosen[name] = Secret(value) if setting.secret and isinstance(value, str) else value
    prefix = str(transport.get("global_keyprefix") or "")
    if prefix:
        chosen["index_prefix"] = prefix if prefix[-1] in _PREFIX_ENDS else prefix + "_"
    if url and "://" in url:
        index_url, query = _index_url(url)
        blobs_url = query.get("blobs") or transport.get("blobs")
        chosen |= {"index_url": index_url} | ({"blobs_url": blobs_url} if blobs_url else {})
    switches = {name: bool(transport.get(name, conf.get(f"resultstore_{name}"))) for name in _SWITCHES}
    settings = Settings(**chosen)
    if any(switches[name] for name in _LEGACY) and settings.index.url.startswith("memory"):
        raise Misconfigured("legacy_redis and publish_legacy need Redis: use redis:// in the backend's URL")
    return BackendUrl(settings, _redis_options(url or "", conf, transport), **switches)


class _HiddenSettings:
    """Celery's settings, without a repr: a traceback with local variables would show their passwords."""

    def __init__(self, settings: Any) -> None:  # noqa: ANN401 - Celery's settings have no type
        self.get: Callable[..., Any] = settings.get


def without_secrets(url: str) -> str:
    """Return `url` without passwords and query, for banners and logs."""
    return ";".join(map(_shown, url.split(";")))


def _shown(url: str) -> str:
    scheme, slashes, rest = url.partition("://")
    address = rest.partition("?")[0]
    # A password need not be percent-encoded: all before an "@" is secret, even with a slash or a "?" in it.
    secret, at, host = (address if "@" in address else rest).rpartition("@")
    if not at:
        return f"{scheme}{slashes}{address}"
    user = secret.partition(":")[0] if ":" in secret else ""
    return f"{scheme}{slashes}{user}:**@{host.partition('?')[0]}"


def _index_url(url: str) -> tuple[str, dict[str, str]]:
    """Return the URL of the index, and the part of the query that is not for it."""
    url = secret_url(url.removeprefix(PREFIX))
    # Celery's form of several sentinels: sentinel://a:26379/0;sentinel://b:26379/0
    first, *others = map(secret_url, url.split(";"))
    parts = split_secret(first)
    query = dict(parse_qsl(parts.query))
    if parts.scheme == "memory":
        return "memory://", query
    if parts.scheme not in _SCHEMES:
        raise Misconfigured(
            f"a result backend URL of resultstore cannot begin with {parts.scheme}://: write resultstore+redis://, "
            "+rediss://, +socket://, +redis+socket://, +sentinel:// or +redis-cluster://"
        )
    for other in others:
        query |= dict(parse_qsl(urlsplit(other).query))
    own_query = {"blobs": query.pop("blobs", "")}
    if parts.scheme == "redis" and any(name.startswith("ssl_") for name in query):
        raise Misconfigured("a result backend URL that begins with redis:// has TLS options: write rediss://")
    if "ssl_cert_reqs" in query:
        query["ssl_cert_reqs"] = _cert_reqs(query["ssl_cert_reqs"])
    if "virtual_host" in query:
        query["db"] = query.pop("virtual_host").strip("/")
    query.pop("decode_responses", None)  # records are bytes
    first_host = parts.netloc
    if query.pop("credential_provider", None):  # which replaces the credentials before the host
        first_host = first_host.rpartition("@")[2]
    hosts = [first_host, *(urlsplit(other).netloc.rpartition("@")[2] for other in others)]
    options = f"?{urlencode(query)}" if query else ""
    return secret_url(f"{_SCHEMES[parts.scheme]}://{','.join(hosts)}{parts.path}{options}"), own_query


def _redis_options(url: str, conf: _HiddenSettings, transport: _HiddenSettings) -> dict[str, object]:
    options: dict[str, object] = {}
    for setting, argument in _ARGUMENTS.items():
        value = conf.get(setting)
        # Celery's default time-out is two minutes; resultstore's is in resultstore.index.redis.pool.
        if value not in (None, "", False) and value != _DEFAULTS.get(setting):
            value = Secret(value) if argument == "password" and isinstance(value, str) else value
            options[argument] = float(value) if argument.endswith("timeout") else value
    found = {name: transport.get(name) for name in _SENTINEL_OPTIONS}
    options |= {name: value for name, value in found.items() if value is not None}
    options |= _tls(conf.get("redis_backend_use_ssl"), url)
    provider = _credential_provider(
        conf.get("redis_backend_credential_provider") or dict(parse_qsl(urlsplit(url).query)).get("credential_provider")
    )
    if provider is not None:
        options.pop("username", None)
        options.pop("password", None)
        options["credential_provider"] = provider
    return options


def _tls(wanted: Any, url: str) -> dict[str, object]:  # noqa: ANN401 - a dict, True or nothing
    if not wanted:
        return {}
    options = dict(wanted) if isinstance(wanted, Mapping) else {}
    if "ssl_cert_reqs" in options:
        options["ssl_cert_reqs"] = _cert_reqs(options["ssl_cert_reqs"])
    sentinel = urlsplit(url).scheme == "sentinel"
    return {**options, **({"ssl": True} if sentinel else {"connection_class": redis.SSLConnection})}


def _cert_reqs(wanted: object) -> str:
    """Return redis-py's name of a mode of certificate checks."""
    word = wanted.name if isinstance(wanted, ssl.VerifyMode) else str(wanted)
    word = _CERT_REQS.get(word, word)
    if word not in _CERT_REQS.values():
        raise Misconfigured(f"ssl_cert_reqs is {word!r}: write required, optional or none")
    return word


def _credential_provider(wanted: Any) -> redis.CredentialProvider | None:  # noqa: ANN401 - Celery allows three forms
    if not wanted:
        return None
    provider: Any = symbol_by_name(wanted) if isinstance(wanted, str) else wanted  # type: ignore[no-untyped-call]
    provider = provider() if isinstance(provider, type) else provider
    if not isinstance(provider, redis.CredentialProvider):
        raise Misconfigured("redis_backend_credential_provider is not a redis.CredentialProvider: set a subclass of it")
    return provider
