"""ObstoreClient: one object store through obstore, opened once per process and used through one retry policy."""

import itertools
import os
import time
from collections.abc import Callable
from datetime import timedelta
from types import ModuleType
from typing import NotRequired, TypedDict, TypeVar

import msgspec

from resultstore.blobs.obstore.errors import RequestFailure
from resultstore.blobs.obstore.fork import live_obstore
from resultstore.blobs.obstore.retry import Retries
from resultstore.model.errors import ResultStoreError

T = TypeVar("T")

_NO_LIMIT = timedelta(days=365)


class TimeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait for the store; no limit counts the length of a stream.

    Args:
        connect_s: until a connection is open.
        idle_s: without a byte from the store, or between a small request and the beginning of its answer.
        slowest_bytes_per_s: an upload below this rate counts as dead.
    """

    connect_s: float = 3.0
    idle_s: float = 30.0
    slowest_bytes_per_s: int = 512 * 1024

    def upload_idle_s(self, in_flight_bytes: int) -> float:
        """Return how long an upload may wait: obstore counts the sending of a body as waiting for its answer."""
        return self.idle_s + in_flight_bytes / self.slowest_bytes_per_s


class Backoff(TypedDict):
    """Pauses between the requests that obstore sends again, as its stores take them."""

    init_backoff: timedelta
    max_backoff: timedelta
    base: int


class RetryConfig(TypedDict):
    """How often obstore sends a request again, as its stores take it."""

    max_retries: int
    retry_timeout: timedelta
    backoff: Backoff


class ClientOptions(TypedDict):
    """Options of obstore's HTTP client, as its stores take them."""

    connect_timeout: timedelta
    read_timeout: timedelta
    timeout: timedelta
    allow_http: NotRequired[bool]
    root_certificate: NotRequired[bytes]


# Opens the store with obstore as it works in this process: S3Store, GCSStore, AzureStore, LocalStore ...
StoreOpener = Callable[[ModuleType, RetryConfig, ClientOptions], object]


class ObstoreClient:
    """One object store through obstore; each process of a fork opens its own.

    Args:
        open_store: opens the store, with the classes of the library that it is given (`library._store.S3Store` ...).
        where: how errors name the store.
        failures: reads what obstore raises; a vendor's own subclass adds its codes and remedies.
        part_size_bytes: length of one part of a multipart upload, and of the largest single PUT.
        keeps_media_types: False for a store that refuses attributes, such as LocalStore.
        limits: how long to wait for the store.
        retries: how often an idempotent request is sent again.
    """

    def __init__(
        self,
        open_store: StoreOpener,
        *,
        where: str,
        failures: type[RequestFailure] = RequestFailure,
        part_size_bytes: int = 8 * 1024 * 1024,
        keeps_media_types: bool = True,
        limits: TimeLimits | None = None,
        retries: Retries | None = None,
    ) -> None:
        self.where = where
        self.failures = failures
        self.part_size_bytes = part_size_bytes
        self.keeps_media_types = keeps_media_types
        self.limits = limits or TimeLimits()
        self.retries = retries or Retries()
        self._open_store = open_store
        self._stores: dict[tuple[int, float, int], object] = {}

    @property
    def library(self) -> ModuleType:
        """Return obstore, as it works in this process."""
        return live_obstore()

    def store(self, *, idle_s: float | None = None, tries: int = 1) -> object:
        """Return obstore's store of this process. Raises what opening it raises.

        Args:
            idle_s: how long its requests wait for a byte; by default as `limits` says.
            tries: how often obstore sends a request itself. More than once only for listings, and for the parts of an
                upload, whose bytes only obstore still holds.
        """
        key = (os.getpid(), self.limits.idle_s if idle_s is None else idle_s, tries)
        if key not in self._stores:
            # A child of a fork keeps its parent's stores and never uses them. Releasing one takes the lock of its
            # connection pool, which a thread of the parent may have held when it forked (5 of 150 forks hung there).
            self._stores[key] = self._opened(key[1], tries=tries)
        return self._stores[key]

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """Return what obstore raises, to be caught around calls to obstore only."""
        return (self.library.exceptions.BaseError, OSError, NotImplementedError)

    def send(
        self, request: Callable[[ModuleType, object], T], *, failed: Callable[[RequestFailure], ResultStoreError]
    ) -> T:
        """Send an idempotent request until it succeeds, the store refuses it, or tries and time are used up.

        Args:
            request: sends it, with the library and the store that it is given.
            failed: returns the error to raise.
        """
        store, pauses = self.store(), self.retries.pauses()
        for number in itertools.count(1):
            try:
                return request(self.library, store)
            except self.errors as error:
                failure = self.failures.of(error)
                again = failure.transient or (failure.denied and number < self.retries.denied_tries)
                pause_s = next(pauses, None) if again else None
                if pause_s is None:
                    raise failed(failure) from error
                time.sleep(pause_s)
        raise AssertionError("counting does not end")

    def _opened(self, idle_s: float, *, tries: int) -> object:
        retry_config: RetryConfig = {
            "max_retries": tries - 1,
            "retry_timeout": timedelta(seconds=self.retries.budget_s),
            "backoff": {
                "init_backoff": timedelta(seconds=self.retries.first_s),
                "max_backoff": timedelta(seconds=self.retries.longest_s),
                "base": 2,
            },
        }
        client_options: ClientOptions = {
            "connect_timeout": timedelta(seconds=self.limits.connect_s),
            "read_timeout": timedelta(seconds=idle_s),
            "timeout": _NO_LIMIT,  # of a whole request, 30 s unless set: it would cut every long stream
        }
        return self._open_store(self.library, retry_config, client_options)
