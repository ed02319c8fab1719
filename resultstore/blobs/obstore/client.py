"""Connection: obstore's client for one bucket, made once per process and sent through one retry policy."""

import itertools
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import TypedDict, TypeVar

import msgspec

from resultstore.blobs.obstore.fork import live_obstore
from resultstore.blobs.obstore.retry import Retries
from resultstore.blobs.s3.certificates import for_obstore
from resultstore.blobs.s3.credentials import Credentials, CredentialSource
from resultstore.blobs.s3.errors import S3Failure
from resultstore.blobs.s3.target import S3Target
from resultstore.model.errors import ResultStoreError

T = TypeVar("T")

# obstore asks again five minutes before the end; botocore hands out temporary credentials that live ten minutes or more
# (botocore/credentials.py, _mandatory_refresh_timeout).
_CREDENTIALS_LIVE = timedelta(minutes=10)
_NO_LIMIT = timedelta(days=365)


class TimeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait for the store; no limit counts the length of a stream.

    Args:
        connect_s: until a connection stands.
        idle_s: without a byte from the store, or between a small request and the beginning of its answer.
        slowest_bytes_per_s: an upload below this rate counts as dead.
    """

    connect_s: float = 3.0
    idle_s: float = 30.0
    slowest_bytes_per_s: int = 512 * 1024

    def upload_idle_s(self, in_flight_bytes: int) -> float:
        """How long an upload may wait: obstore counts the sending of a body as waiting for its answer."""
        return self.idle_s + in_flight_bytes / self.slowest_bytes_per_s


class _S3Credential(TypedDict):
    access_key_id: str
    secret_access_key: str
    token: str | None
    expires_at: datetime | None


class ObstoreClient:
    """One bucket through obstore; each process of a fork gets its own client."""

    def __init__(
        self, target: S3Target, *, credentials: CredentialSource, limits: TimeLimits, retries: Retries
    ) -> None:
        self.target = target
        self.limits = limits
        self.retries = retries
        self._credentials = credentials
        self._clients: dict[tuple[int, float, int], object] = {}

    @property
    def library(self) -> ModuleType:
        """obstore, as it works in this process."""
        return live_obstore()

    def client(self, *, idle_s: float | None = None, part_tries: int = 1) -> object:
        """An S3Store of this process that gives up after `idle_s` without a byte. Raises BlobStoreUnavailable.

        `part_tries` is how often obstore sends a request itself: more than once only for the parts of an upload, which
        it alone can send again, since it alone still holds their bytes.
        """
        key = (os.getpid(), self.limits.idle_s if idle_s is None else idle_s, part_tries)
        if key not in self._clients:
            # A child of a fork keeps its parent's clients and never uses them: to let go of one takes the lock of its
            # connection pool, which a thread of the parent may have held when it forked (5 of 150 forks hung there).
            self._clients[key] = self._made(key[1], tries=part_tries)
        return self._clients[key]

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What obstore raises, to be caught around calls to it alone."""
        return (self.library.exceptions.BaseError, OSError)

    def send(self, request: Callable[[ModuleType, object], T], *, failed: Callable[[S3Failure], ResultStoreError]) -> T:
        """Send an idempotent request until it succeeds, the store refuses it, or tries and time are used up."""
        client, pauses = self.client(), self.retries.pauses()
        for number in itertools.count(1):
            try:
                return request(self.library, client)
            except self.errors as error:
                fault = S3Failure.of(error)
                again = fault.transient or (fault.denied and number < self.retries.denied_tries)
                pause_s = next(pauses, None) if again else None
                if pause_s is None:
                    raise failed(fault) from error
                time.sleep(pause_s)
        raise AssertionError("counting does not end")

    def _made(self, idle_s: float, *, tries: int) -> object:
        self._credentials()  # a missing key is our error here, and would be hidden in obstore's own later
        target, authorities = self.target, for_obstore()
        return self.library._store.S3Store(  # noqa: SLF001  obstore.store wraps this class with the functions that are called here
            target.bucket,
            endpoint=target.origin if target.path_style else target.in_host(target.origin),
            region=target.region,
            prefix=target.prefix or None,
            virtual_hosted_style_request=not target.path_style,
            unsigned_payload=True,
            checksum_algorithm="CRC64NVME",
            credential_provider=self._provide,
            retry_config={
                "max_retries": tries - 1,
                "retry_timeout": timedelta(seconds=self.retries.budget_s),
                "backoff": {
                    "init_backoff": timedelta(seconds=self.retries.first_s),
                    "max_backoff": timedelta(seconds=self.retries.longest_s),
                    "base": 2,
                },
            },
            client_options={
                "allow_http": target.origin.startswith("http://"),
                "connect_timeout": timedelta(seconds=self.limits.connect_s),
                "read_timeout": timedelta(seconds=idle_s),
                "timeout": _NO_LIMIT,  # of a whole request, 30 s unless set: it would cut every long stream
                **({} if authorities is None else {"root_certificate": authorities}),
            },
        )

    def _provide(self) -> _S3Credential:
        now = self._credentials()
        return {
            "access_key_id": now.access_key,
            "secret_access_key": now.secret_key,
            "token": now.session_token or None,
            "expires_at": _asked_again_at(now),
        }


def _asked_again_at(credentials: Credentials) -> datetime | None:
    """When obstore asks for credentials again; None for those that stay."""
    soon = datetime.now(UTC) + _CREDENTIALS_LIVE
    if credentials.expires_at is not None:
        return min(soon, datetime.fromtimestamp(credentials.expires_at, UTC))
    return soon if credentials.session_token else None
