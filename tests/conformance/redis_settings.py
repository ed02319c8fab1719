"""Redis settings: Celery's own unit tests of what a Redis URL and the `redis_*` settings mean, over our backend.

Those that patch the inside of Celery's Redis client test nothing of ours and are not taken: see docs/conformance.md.
"""

import ssl
from collections.abc import Mapping

import celery
import pytest
from celery import Celery
from redis import UnixDomainSocketConnection
from t.unit.backends import test_redis as upstream

from resultstore.backends.celery import urls
from resultstore.backends.celery.backend import ResultStoreBackend
from resultstore.index.redis.pool import open_pool
from resultstore.model.errors import Misconfigured

URL = "redis://localhost/0"  # never connected to
CERT_REQS = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
TAKEN = (
    "test_reduce",
    "test_username_password_from_redis_conf",
    "test_credential_provider_from_redis_conf",
    "test_url",
    "test_url_with_credential_provider",
    "test_timeouts_in_url_coerced",
    "test_socket_url",
    "test_backend_ssl",
    "test_backend_ssl_with_redis_scheme",
    "test_backend_health_check_interval_ssl",
    "test_backend_health_check_interval",
    "test_backend_redis_client_name",
    "test_backend_redis_client_name_not_set",
    "test_backend_ssl_certreq_str",
    "test_backend_ssl_url",
    "test_backend_ssl_url_options",
    "test_backend_ssl_url_cert_none",
    "test_backend_ssl_url_invalid",
    "test_backend_ssl_url_redis_scheme_invalid",
    "test_on_chord_part_return_no_gid_or_tid",
    "test_expires_defaults_to_config",
    "test_expires_is_int",
    "test_expires_is_None",
    "test_expires_is_timedelta",
    "test_process_cleanup",
    "test_failure_expires_defaults_to_result_expires",
    "test_failure_expires_does_not_warn",
)
# The version of Celery whose suite was the first to have the test.
SINCE = {
    "test_credential_provider_from_redis_conf": (5, 6),
    "test_url_with_credential_provider": (5, 6),
    "test_backend_redis_client_name": (5, 6),
    "test_backend_redis_client_name_not_set": (5, 6),
    "test_backend_ssl_with_redis_scheme": (5, 7),
    "test_backend_ssl_url_redis_scheme_invalid": (5, 7),
    "test_failure_expires_defaults_to_result_expires": (5, 7),
    "test_failure_expires_does_not_warn": (5, 7),
}


def version_of(text: str) -> tuple[int, int]:
    """Return the first two numbers of a version."""
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


class Backend(ResultStoreBackend):
    """Ours, made as the tests make Celery's, and with what they look at: the arguments of a connection."""

    def __init__(self, url: str = URL, *, app: Celery, **kwargs: object) -> None:
        try:
            super().__init__(app=app, url=url, **kwargs)
            servers = urls.read_servers(url, app.conf)
            self._pool = open_pool(servers.settings.index.url, servers.redis_options)
        except Misconfigured as problem:
            raise ValueError(str(problem)) from problem  # what Celery raises

    @property
    def connparams(self) -> Mapping[str, object]:
        """What redis-py will be called with, under the names of Celery's attribute."""
        said = self._pool.connection_kwargs
        cert_reqs = said.get("ssl_cert_reqs")
        connection = self._pool.connection_class
        if connection is UnixDomainSocketConnection:
            connection = upstream.redis.UnixDomainSocketConnection  # the tests' own stand-in for it
        named = {"ssl_cert_reqs": CERT_REQS.get(cert_reqs, cert_reqs)} if "ssl_cert_reqs" in said else {}
        return {"client_name": None, **said, **named, "connection_class": connection}


@pytest.mark.usefixtures("app")
class test_redis_settings(upstream.basetest_RedisBackend):  # noqa: N801 - Celery's configuration collects by this name
    def get_backend(self) -> type[Backend]:
        """The class under test, where the tests expect it."""
        return Backend


for name in TAKEN:
    if name not in SINCE or version_of(celery.__version__) >= SINCE[name]:
        setattr(test_redis_settings, name, getattr(upstream.test_RedisBackend, name))
