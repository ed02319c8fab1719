"""Spans: passes a trace through the broker. Needs the extra `tracing`; imported by `tracing` if it is enabled."""

from collections.abc import MutableMapping

from celery import signals
from opentelemetry import propagate, trace
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.sdk.trace import TracerProvider

from resultstore.telemetry.tracing import open_provider

WORKER = "resultstore-worker"


class PublishSpans:
    """Opens a span for each task that this process publishes; its context travels in the message's headers.

    `CeleryInstrumentor` would leave it open for a task that is not registered here, as none is in a gateway
    (opentelemetry-instrumentation-celery 0.66b2, `_trace_after_publish` returns before it ends the span).

    Args:
        provider: creates the spans.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = trace.get_tracer(__name__, tracer_provider=provider)

    def start(self) -> None:
        """Start, for all Celery apps of this process."""
        signals.before_task_publish.connect(self._publish, weak=False)

    def stop(self) -> None:
        """Stop."""
        signals.before_task_publish.disconnect(self._publish)

    def _publish(self, sender: str = "", headers: MutableMapping[str, object] | None = None, **_: object) -> None:
        with self._tracer.start_as_current_span(f"publish {sender}", kind=trace.SpanKind.PRODUCER) as span:
            span.set_attribute("celery.task_name", sender)
            if headers is not None:
                propagate.inject(headers)


def trace_worker() -> None:
    """Trace the tasks of each worker process, as parts of their publishers' traces; call it before the fork."""
    signals.worker_process_init.connect(_begin, weak=False)


def _begin(**_: object) -> None:
    provider = open_provider(WORKER)
    CeleryInstrumentor().instrument(tracer_provider=provider)  # type: ignore[no-untyped-call]
    signals.worker_process_shutdown.connect(lambda **_: provider.shutdown(), weak=False)
