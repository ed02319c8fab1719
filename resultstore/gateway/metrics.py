"""Metrics: the Prometheus metrics of a gateway process, served on a separate port."""

import functools
import socket
from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from starlette.types import Scope

from resultstore.gateway.background import BackgroundThreads
from resultstore.gateway.events.hub import Hub
from resultstore.gateway.middleware.access_log import Observe
from resultstore.index.index import Index
from resultstore.model.errors import Misconfigured
from resultstore.settings import Settings

_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})


class Metrics:
    """The metrics of one gateway process. Labels are routes, methods and states: never an id, a key or an owner."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for one in (ProcessCollector, PlatformCollector, GCCollector):
            one(registry=self.registry)
        self._requests = Counter(
            "resultstore_http_requests",
            "Answered HTTP requests.",
            ["listener", "method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "resultstore_http_response_start_seconds",
            "Time from the request to the start of its response.",
            ["listener", "route"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )

    def observer(self, listener: str) -> Observe:
        """Return a function that counts the requests of one listener."""

        @functools.cache  # one entry per combination of labels; `labels()` itself costs ten times as much
        def counted(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
            return self._requests.labels(listener, method, route, str(status)), self._seconds.labels(listener, route)

        def observe(scope: Scope, status: int, response_start_s: float) -> None:
            method = scope["method"] if scope["method"] in _METHODS else "other"  # a client may send any word
            requests, seconds = counted(method, _route(scope), status)
            requests.inc()
            seconds.observe(response_start_s)

        return observe

    def watch(self, hub: Hub, background: BackgroundThreads, index: Index) -> None:
        """Add the metrics of the event streams, the background threads and the index."""
        self.registry.register(_StateCollector(hub, background, index))


def metrics_listener(settings: Settings) -> socket.socket | None:
    """Return a listening socket for `/metrics`, or None if no port is set.

    Raises Misconfigured when the port is in use.
    """
    if not settings.telemetry.metrics_port:
        return None
    host, port = settings.telemetry.metrics_host, settings.telemetry.metrics_port
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise Misconfigured(
            f"cannot listen on {host}:{port} ({error.strerror}): set RESULTSTORE_METRICS_PORT to a free one"
        ) from error


class _StateCollector(Collector):
    """Reads at each scrape what other objects count."""

    def __init__(self, hub: Hub, background: BackgroundThreads, index: Index) -> None:
        self._hub = hub
        self._background = background
        self._index = index

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("resultstore_event_viewers", "Open event streams.", value=self._hub.viewers)
        yield CounterMetricFamily(
            "resultstore_event_viewers_dropped",
            "Event streams that were disconnected because the client was too slow.",
            self._hub.dropped_total,
        )
        yield CounterMetricFamily(
            "resultstore_records_unreadable",
            "Records that could not be read and were skipped.",
            self._index.listing.unreadable_total,
        )
        if (sending := self._background.sending) is not None:
            tries = CounterMetricFamily("resultstore_webhook_tries", "Attempts to send a webhook.", labels=["outcome"])
            for outcome, count in sending.sent_total.items():
                tries.add_metric([outcome], count)
            yield tries


def _route(scope: Scope) -> str:
    """Return the template of the path, or "none" for a path without a route."""
    return str(getattr(scope.get("route"), "path", "")) or "none"
