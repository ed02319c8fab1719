"""Tracing: a span for each request, under which what is published for it is traced too."""

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import FastAPI
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import TracerProvider

# Probes say nothing, and a stream is no request: its span would end with the page.
_LEFT_OUT = "/livez,/readyz,/v1/events"


@contextmanager
def tracing_requests(app: FastAPI, provider: TracerProvider) -> Iterator[None]:
    """Trace the requests of `app` within the block; what is not yet sent at its end is sent then."""
    FastAPIInstrumentor.instrument_app(
        app, tracer_provider=provider, excluded_urls=_LEFT_OUT, exclude_spans=["receive", "send"]
    )
    try:
        yield
    finally:
        FastAPIInstrumentor.uninstrument_app(app)
        provider.shutdown()
