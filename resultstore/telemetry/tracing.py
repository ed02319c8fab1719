"""Tracing: where OpenTelemetry spans go, and what is cut out of them before they do. Needs the extra `tracing`."""

from collections.abc import Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Status
from opentelemetry.util.types import Attributes, AttributeValue

from resultstore.telemetry.redaction import cut_secrets

_UNNAMED: Final = "unknown_service"  # OpenTelemetry's own word, where OTEL_SERVICE_NAME says nothing


def open_provider(service: str, *, exporter: SpanExporter | None = None) -> TracerProvider:
    """What makes the spans of one process. Make it after a fork: a thread of its own sends them.

    Args:
        service: what the process is called, unless OTEL_SERVICE_NAME says otherwise.
        exporter: sends them; by default OTLP over HTTP, as the OTEL_EXPORTER_OTLP_* variables say.
    """
    found = Resource.create()  # what the OTEL_* variables say
    if str(found.attributes[SERVICE_NAME]).startswith(_UNNAMED):
        found = found.merge(Resource({SERVICE_NAME: service}))
    provider = TracerProvider(resource=found)
    provider.add_span_processor(BatchSpanProcessor(RedactingExporter(exporter or OTLPSpanExporter())))
    return provider


class RedactingExporter(SpanExporter):
    """Cuts signatures, tokens and passwords out of every text of a span: URLs and messages of exceptions carry them.

    Args:
        exporter: sends what is left.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send them."""
        return self._exporter.export([_cut(one) for one in spans])

    def shutdown(self) -> None:
        """Send nothing more."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send at once what waits."""
        return self._exporter.force_flush(timeout_millis)


def _cut(span: ReadableSpan) -> ReadableSpan:
    said = span.status.description
    return ReadableSpan(
        name=cut_secrets(span.name),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_cut_all(span.attributes),
        events=[Event(one.name, attributes=_cut_all(one.attributes), timestamp=one.timestamp) for one in span.events],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code, None if said is None else cut_secrets(said)),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _cut_all(attributes: Attributes) -> dict[str, AttributeValue]:
    return {name: cut_secrets(value) if isinstance(value, str) else value for name, value in (attributes or {}).items()}
