"""`tracing_requests`: an OpenTelemetry span for each request, the parent of the spans of its tasks."""

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import FastAPI
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import TracerProvider

# Health checks are noise, and the span of an event stream would last as long as its page is open. The path of a share
# link is a secret.
_EXCLUDED_PATHS = "/livez,/readyz,/v1/events,/share/"


@contextmanager
def tracing_requests(app: FastAPI, provider: TracerProvider) -> Iterator[None]:
    """Trace the requests of `app` within the block; flush the remaining spans at its end."""
    FastAPIInstrumentor.instrument_app(
        app, tracer_provider=provider, excluded_urls=_EXCLUDED_PATHS, exclude_spans=["receive", "send"]
    )
    try:
        yield
    finally:
        FastAPIInstrumentor.uninstrument_app(app)
        provider.shutdown()
