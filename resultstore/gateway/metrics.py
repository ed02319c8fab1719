"""Metrics: what Prometheus reads of a gateway, on a port of its own."""

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
    """The counts of one gateway process. Labels are routes, methods and states: never an id, a key or an owner."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for one in (ProcessCollector, PlatformCollector, GCCollector):
            one(registry=self.registry)
        self._requests = Counter(
            "resultstore_http_requests",
            "Requests that were answered.",
            ["listener", "method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "resultstore_http_response_start_seconds",
            "From the request to the beginning of its answer.",
            ["listener", "route"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )

    def observer(self, listener: str) -> Observe:
        """What counts the requests of one listener."""

        @functools.cache  # as many as there are labels; to find them anew each time costs ten times as much
        def counted(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
            return self._requests.labels(listener, method, route, str(status)), self._seconds.labels(listener, route)

        def observe(scope: Scope, status: int, begun_s: float) -> None:
            method = scope["method"]
            known = method if method in _METHODS else "other"  # a client may make any word up
            requests, seconds = counted(known, _route(scope), status)
            requests.inc()
            seconds.observe(begun_s)

        return observe

    def watch(self, hub: Hub, background: BackgroundThreads, index: Index) -> None:
        """Show what these know."""
        self.registry.register(_Running(hub, background, index))


def metrics_listener(settings: Settings) -> socket.socket | None:
    """Return a listening socket for `/metrics`; None where no port is set.

    Raises Misconfigured when something else listens there.
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


class _Running(Collector):
    """Reads, when it is asked, what is counted elsewhere."""

    def __init__(self, hub: Hub, background: BackgroundThreads, index: Index) -> None:
        self._hub = hub
        self._background = background
        self._index = index

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("resultstore_event_viewers", "Open event streams.", value=self._hub.viewers)
        yield CounterMetricFamily(
            "resultstore_event_viewers_dropped", "Event streams whose readers were too slow.", self._hub.dropped_total
        )
        yield CounterMetricFamily(
            "resultstore_records_unreadable",
            "Records that were skipped because they could not be read.",
            self._index.listing.unreadable_total,
        )
        if (sending := self._background.sending) is not None:
            tries = CounterMetricFamily("resultstore_webhook_tries", "Webhooks that were sent.", labels=["outcome"])
            for outcome, count in sending.sent_total.items():
                tries.add_metric([outcome], count)
            yield tries


def _route(scope: Scope) -> str:
    """The path's template; of the many paths that lead nowhere one word stands for all."""
    return str(getattr(scope.get("route"), "path", "")) or "none"
