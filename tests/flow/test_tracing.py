"""Tracing: one trace from a request through RabbitMQ into the task, and none where it is off."""

import gzip
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from resultstore.cli.serve import worker_argv
from resultstore.telemetry.tracing import open_provider

SOON_S = 60.0


class Collector(BaseHTTPRequestHandler):
    """What a real collector is to its senders: OTLP over HTTP."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.requests.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def collector() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    server.requests = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def spans(collector: ThreadingHTTPServer) -> dict[str, list]:
    """Every span by the service that sent it."""
    found: dict[str, list] = {}
    for request in collector.requests:
        for resource in request.resource_spans:
            names = {one.key: one.value.string_value for one in resource.resource.attributes}
            found.setdefault(names["service.name"], []).extend(
                span for scope in resource.scope_spans for span in scope.spans
            )
    return found


@pytest.fixture
def traced(environment: dict[str, str], collector: ThreadingHTTPServer, tmp_path: Path) -> Iterator[str]:
    """The shipped worker and a gateway that send traces; gives the gateway's URL."""
    queue = f"queue-{uuid.uuid4().hex}"
    variables = environment | {
        "RESULTSTORE_TRACING": "true",
        "RESULTSTORE_BROKER_QUEUE": queue,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    with (tmp_path / "log").open("wb") as log:
        running = [
            subprocess.Popen(argv, env=variables, stdout=log, stderr=log)
            for argv in (
                worker_argv(concurrency=1, queues=queue),
                [sys.executable, "-m", "resultstore.cli", "gateway"],
            )
        ]
        try:
            yield f"http://127.0.0.1:{environment['RESULTSTORE_GATEWAY_PORT']}"
        finally:
            for one in running:
                one.terminate()
            for one in running:
                one.wait(20)
            sys.stdout.write((tmp_path / "log").read_text()[-4000:])


def soon(question):
    end = time.monotonic() + SOON_S
    while not (found := question()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return found


def test_request_message_and_task_have_one_trace(traced: str, collector: ThreadingHTTPServer):
    soon(lambda: offers(traced))

    started = httpx.post(
        f"{traced}/v1/tasks/examples.report", json={"arguments": {"title": "a"}}, headers={"Origin": traced}, timeout=30
    )
    assert started.status_code == 202, started.text

    (run,) = soon(lambda: spans(collector).get("resultstore-worker"))
    ours = soon(lambda: [one for one in spans(collector)["resultstore-gateway"] if one.name.startswith("POST")])
    publish = [one for one in spans(collector)["resultstore-gateway"] if one.name == "publish examples.report"]
    assert run.name == "run/examples.report"
    assert {one.trace_id for one in (run, *ours, *publish)} == {run.trace_id}
    assert run.parent_span_id == publish[0].span_id
    assert publish[0].parent_span_id == ours[0].span_id


def offers(url: str) -> bool:
    """Whether the gateway answers, and the worker has registered its tasks."""
    try:
        return bool(httpx.get(f"{url}/v1/tasks").json()["offers"])
    except httpx.TransportError:
        return False


def test_spans_hold_no_signature_and_no_token():
    exporter = InMemorySpanExporter()
    provider = open_provider("test", exporter=exporter)
    tracer = trace.get_tracer(__name__, tracer_provider=provider)

    with (
        pytest.raises(ValueError, match="s3cret"),
        tracer.start_as_current_span("GET http://h/?X-Amz-Signature=s3cret") as span,
    ):
        span.set_attribute("http.url", "http://h/k?signature=s3cret&a=1")
        span.set_attribute("count", 3)
        raise ValueError("Bearer s3cret was refused at http://h/?X-Amz-Signature=s3cret")
    provider.force_flush()

    (sent,) = exporter.get_finished_spans()
    assert "s3cret" not in sent.to_json()
    assert sent.attributes["http.url"] == "http://h/k?signature=***&a=1"
    assert sent.attributes["count"] == 3
    assert sent.events[0].name == "exception"
    provider.shutdown()


def test_without_tracing_nothing_of_it_is_imported():
    program = (
        "OURS = 'resultstore.telemetry.tracing', 'opentelemetry.instrumentation', 'opentelemetry.exporter'\n"
        "import sys, resultstore_tasks.app, resultstore.gateway.listeners, resultstore.backends.celery.dispatching\n"
        "from resultstore.cli.serve import _gateway_of; from resultstore import connect\n"
        "_gateway_of(connect()); print([one for one in sys.modules if one.startswith(OURS)])"
    )
    variables = {"RESULTSTORE_INDEX_URL": "redis://127.0.0.1:1", "RESULTSTORE_SECRET_KEY": "k" * 32}
    told = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, env=os.environ | variables
    )
    assert told.stdout.splitlines()[-1] == "[]"
