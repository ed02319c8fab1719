"""Tracing: exports OpenTelemetry spans without secrets. Needs the extra `tracing`."""

from collections.abc import Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Status
from opentelemetry.util.types import Attributes, AttributeValue

from resultstore.telemetry.redaction import cut_secrets

_UNNAMED: Final = "unknown_service"  # OpenTelemetry's default without OTEL_SERVICE_NAME


def open_provider(service: str, *, exporter: SpanExporter | None = None) -> TracerProvider:
    """Return the tracer provider of one process. Call it after a fork, because it starts a thread.

    Args:
        service: the name of the process, unless OTEL_SERVICE_NAME is set.
        exporter: sends the spans; by default OTLP over HTTP, configured by the OTEL_EXPORTER_OTLP_* variables.
    """
    found = Resource.create()  # configured by the OTEL_* variables
    if str(found.attributes[SERVICE_NAME]).startswith(_UNNAMED):
        found = found.merge(Resource({SERVICE_NAME: service}))
    provider = TracerProvider(resource=found)
    provider.add_span_processor(BatchSpanProcessor(RedactingExporter(exporter or OTLPSpanExporter())))
    return provider


class RedactingExporter(SpanExporter):
    """Removes signatures, tokens and passwords from every text of a span, such as URLs and error messages.

    Args:
        exporter: sends the redacted spans.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Redact the spans, and send them."""
        return self._exporter.export([_cut(one) for one in spans])

    def shutdown(self) -> None:
        """Shut the exporter down."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send all waiting spans now."""
        return self._exporter.force_flush(timeout_millis)


def _cut(span: ReadableSpan) -> ReadableSpan:
    description = span.status.description
    return ReadableSpan(
        name=cut_secrets(span.name),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_cut_all(span.attributes),
        events=[Event(one.name, attributes=_cut_all(one.attributes), timestamp=one.timestamp) for one in span.events],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code, None if description is None else cut_secrets(description)),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _cut_all(attributes: Attributes) -> dict[str, AttributeValue]:
    return {name: cut_secrets(value) if isinstance(value, str) else value for name, value in (attributes or {}).items()}
