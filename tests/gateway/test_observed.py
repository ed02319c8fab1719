"""Metrics, request ids and logs of a gateway, without secrets."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import uuid

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families


@pytest.fixture(scope="module")
def gateway(redis_url, tmp_path_factory):
    """Start a gateway process with metrics and JSON logs; return its URLs and its log file."""
    folder = tmp_path_factory.mktemp("gateway")
    log = folder / "log"
    with (
        socket.create_server(("127.0.0.1", 0)) as at,
        socket.create_server(("127.0.0.1", 0)) as by_bytes,
        socket.create_server(("127.0.0.1", 0)) as free,
        log.open("wb") as err,
    ):
        metrics_port = free.getsockname()[1]
        free.close()
        variables = {
            "RESULTSTORE_INDEX_URL": redis_url,
            "RESULTSTORE_INDEX_PREFIX": f"{uuid.uuid4().hex}:",
            "RESULTSTORE_BLOBS_URL": f"file://{folder}/blobs",
            "RESULTSTORE_SECRET_KEY": "k" * 32,
            "RESULTSTORE_METRICS_PORT": str(metrics_port),
            "RESULTSTORE_LOG_JSON": "true",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "resultstore.cli", "gateway", *(f"--fd={one.fileno()}" for one in (at, by_bytes))],
            env=os.environ | variables,
            pass_fds=[at.fileno(), by_bytes.fileno()],
            stderr=err,
        )
        urls = [f"http://127.0.0.1:{one.getsockname()[1]}" for one in (at, by_bytes)]
        try:
            httpx.get(f"{urls[0]}/livez", timeout=30)
            yield urls[0], urls[1], f"http://127.0.0.1:{metrics_port}/metrics", log
        finally:
            process.terminate()
            process.wait(10)


def samples(url: str) -> dict[tuple, float]:
    families = text_string_to_metric_families(httpx.get(url).text)
    return {(one.name, *sorted(one.labels.items())): one.value for family in families for one in family.samples}


def logged(log, question, seconds: float = 5.0) -> dict:
    end = time.monotonic() + seconds
    while True:
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        if found := [line for line in lines if question(line)]:
            return found[-1]
        assert time.monotonic() < end
        time.sleep(0.02)


def test_requests_are_counted_by_route_template(gateway):
    url, by_bytes, metrics, _ = gateway
    ids = [uuid.uuid4().hex for _ in range(5)]
    for one in ids:
        httpx.get(f"{url}/v1/results/{one}")
        httpx.get(f"{url}/nowhere/{one}")
        httpx.request(f"M{one[:6].upper()}", f"{url}/v1/results/{one}")
        httpx.get(f"{by_bytes}/blobs/{one}?signature=s3cret")

    text = httpx.get(metrics).text
    counted = samples(metrics)

    route = ("listener", "gateway"), ("method", "GET"), ("route", "/v1/results/{result_id}"), ("status", "404")
    assert counted["resultstore_http_requests_total", *route] == 5
    nowhere = ("listener", "gateway"), ("method", "GET"), ("route", "none"), ("status", "404")
    assert counted["resultstore_http_requests_total", *nowhere] == 5
    assert not [one for one in ids if one in text]
    assert "s3cret" not in text
    assert not re.search(r"owner|blobs/", text)
    assert all(
        name.endswith(("_total", "_seconds", "_bytes", "_info", "_bucket", "_sum", "_count", "_created", "_fds"))
        for name in {key[0] for key in counted} - {"resultstore_event_viewers"}
    )


def test_open_streams_are_counted(gateway):
    url, _, metrics, _ = gateway
    with httpx.stream("GET", f"{url}/v1/events") as stream:
        lines = stream.iter_lines()
        next(lines)
        assert samples(metrics)["resultstore_event_viewers",] == 1


def test_metrics_are_not_served_where_browsers_are(gateway):
    assert httpx.get(f"{gateway[0]}/metrics").status_code == 404


def test_request_id_is_returned_and_logged(gateway):
    url, _, _, log = gateway
    mine = f"req-{uuid.uuid4()}"
    answer = httpx.get(f"{url}/v1/results/none", headers={"X-Request-ID": mine})
    assert answer.headers["x-request-id"] == mine
    line = logged(log, lambda line: line.get("request_id") == mine)
    assert (line["event"], line["path"], line["status"]) == ("request", "/v1/results/none", 404)


@pytest.mark.parametrize(
    "given", ["short", "x" * 129, 'quo"ted-0000', "spa ced-00000", "../../../etc/passwd", "ümläute-00"]
)
def test_unsafe_request_id_is_replaced(gateway, given):
    answer = httpx.get(f"{gateway[0]}/livez", headers={"X-Request-ID": given.encode()})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


def test_two_requests_have_two_ids(gateway):
    assert len({httpx.get(f"{gateway[0]}/livez").headers["x-request-id"] for _ in range(3)}) == 3


def test_no_secret_of_a_request_is_logged(gateway):
    url, by_bytes, _, log = gateway
    mine = f"req-{uuid.uuid4()}"
    headers = {
        "Authorization": "Bearer s3cret",
        "Cookie": "session=s3cret",
        "Referer": "http://h/?X-Amz-Signature=s3cret",
        "X-Request-ID": mine,
    }
    for path in ("/v1/results/a?X-Amz-Signature=s3cret", "/v1/results/http:%2F%2Fh%3Fsignature=s3cret"):
        httpx.get(url + path, headers=headers)
    httpx.put(f"{by_bytes}/uploads/a?signature=s3cret", headers=headers, content=b"x")
    logged(log, lambda line: line.get("listener") == "bytes" and line.get("request_id") == mine)
    assert "s3cret" not in log.read_text()
