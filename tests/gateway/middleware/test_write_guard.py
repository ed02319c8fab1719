"""The write guard refuses foreign pages, forged references and bodies that are not small plain JSON."""

import json
import socket
import time

import pytest

from resultstore.gateway.middleware import slow_clients, write_guard

GREET = {"arguments": {"name": "ann"}}
TASK = "/v1/tasks/greet"
CHANGES = [("POST", TASK), ("DELETE", "/v1/results/done"), ("POST", "/v1/results/done/retry")]
REFERENCE = {"__type__": "resultstore.artifact/1", "__value__": {"id": "x", "key": "blobs/30d/aa/x/y.0"}}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://localhost.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    ],
    ids=str,
)
@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_a_page_of_another_origin_changes_nothing(served, orders, headers, method, path):
    served.store.put(b"hello", name="a.txt", id="done")

    answer = served.gateway.request(method, path, json=GREET, headers=headers)

    assert (answer.status_code, answer.json()["slug"]) == (403, "cross-site")
    assert orders.sent == []
    assert served.gateway.get("/v1/results/done").status_code == 200


def test_the_gateways_own_page_may_write(served, orders):
    own = str(served.gateway.base_url).rstrip("/")

    answer = served.gateway.post(TASK, json=GREET, headers={"Origin": own, "Sec-Fetch-Site": "same-origin"})

    assert answer.status_code == 202


@pytest.mark.parametrize("mode", ["no-cors", "cors", "websocket", "navigate"])
def test_other_sites_may_only_link(served, mode):
    served.store.put(b"hello", name="a.txt", id="done")
    path = "/v1/results/done/artifacts/a.txt"
    about = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": mode}

    embedded = served.gateway.get(path, headers=about | {"Sec-Fetch-Dest": "iframe"})
    linked = served.gateway.get(path, headers=about | {"Sec-Fetch-Dest": "document"})

    assert embedded.status_code == 403
    assert linked.status_code == (302 if mode == "navigate" else 403)


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
def test_only_json_is_a_body(served, orders, media_type):
    headers = {"Content-Type": media_type} if media_type else {}

    answer = served.gateway.post(TASK, content=json.dumps(GREET).encode(), headers=headers)

    assert (answer.status_code, answer.json()["slug"]) == (415, "wrong-type")
    assert orders.sent == []


def test_a_compressed_body_is_refused(served):
    answer = served.gateway.post(TASK, json=GREET, headers={"Content-Encoding": "gzip"})

    assert answer.status_code == 415


def nested(value, depth):
    for number in range(depth):
        value = [value] if number % 2 else {"in": value}
    return value


@pytest.mark.parametrize("value", [REFERENCE, {"__type__": "datetime", "__value__": "2026"}, {"__type__": 5}], ids=str)
@pytest.mark.parametrize("depth", [0, 1, 7, 25])
def test_forged_reference_is_refused_at_any_depth(served, orders, value, depth):
    for body in ({"arguments": {"name": nested(value, depth)}}, nested(value, depth), {"arguments": value}):
        answer = served.gateway.post(TASK, json=body)
        assert (answer.status_code, answer.json()["slug"]) == (422, "reference-not-allowed")
    escaped = json.dumps({"arguments": {"name": value}}).replace("__type__", "\\u005f_type_\\u005f").encode()
    answer = served.gateway.post(TASK, content=escaped, headers={"Content-Type": "application/json"})
    assert answer.json()["slug"] == "reference-not-allowed"
    assert orders.sent == []


HOSTILE = [
    b"[" * 1_000_000,
    b'{"a":' * 200_000,
    b"[" * 33 + b"]" * 33,
    b'{"arguments": {"name": NaN}}',
    b'{"arguments": {"name": 1e999}}',
    b"\xff\xfe",
    b'{"arguments": {"name": "\\ud800"}}',
    b"{",
    b"null",
    b'{"arguments": {"name": "a"}} x',
    b'{"arguments": {"__proto__": 1}}',
    b'{"arguments": {"name": ' + b"1" * 100_000 + b"}}",
    b'{"arguments": {"name": [' + b"0," * 400_000 + b"0]}}",
]


@pytest.mark.parametrize("body", HOSTILE, ids=lambda body: repr(body[:24]))
def test_hostile_json_is_refused_soon(served, orders, body):
    began = time.monotonic()

    answer = served.gateway.post(TASK, content=body, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()["slug"]) == (422, "invalid-request")
    assert len(answer.content) < 2_000
    assert "Traceback" not in answer.text
    assert time.monotonic() - began < 5
    assert orders.sent == []


def test_too_large_body_is_refused(served):
    headers = {"Content-Type": "application/json"}

    by_length = served.gateway.post(TASK, content=b"x" * (write_guard.MAX_BODY_BYTES + 1), headers=headers)
    as_it_comes = served.gateway.post(TASK, content=iter([b"x" * 300_000] * 4), headers=headers)

    for answer in (by_length, as_it_comes):
        assert (answer.status_code, answer.json()["slug"]) == (413, "too-large")


def test_stalled_body_times_out(served, monkeypatch):
    monkeypatch.setattr(write_guard, "BODY_LIMIT_S", 0.2)

    def slowly():
        yield b'{"arguments":'
        time.sleep(0.6)
        yield b' {"name": "ann"}}'

    answer = served.gateway.post(TASK, content=slowly(), headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()["slug"]) == (408, "too-slow")


def test_what_is_refused_says_nothing_of_the_inside(served):
    answers = [
        served.gateway.post(TASK, json=REFERENCE),
        served.gateway.post(TASK, json={"arguments": {"name": 5}}),
        served.gateway.get("/docs"),
        served.gateway.get("/redoc"),
        served.gateway.get("/metrics"),
    ]

    assert [one.status_code for one in answers] == [422, 422, 404, 404, 404]
    for one in answers:
        assert "set-cookie" not in one.headers
        assert all(word not in one.text for word in ("Traceback", "pydantic", "resultstore/", "blobs/", "redis"))


@pytest.mark.parametrize(
    "header", ["Origin: https://evil.example", "Content-Type: text/plain", "Sec-Fetch-Site: cross-site"]
)
def test_a_refusal_is_read_whatever_is_still_sent(served, monkeypatch, header):
    # given a body that is on its way while the answer is
    monkeypatch.setattr(slow_clients, "ANSWERED_LIMIT_S", 600.0)
    at, body = (served.gateway.base_url.host, served.gateway.base_url.port), b"x" * 100_000
    head = f"POST {TASK} HTTP/1.1\r\nHost: localhost\r\n{header}\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(at, 30) as connection, connection.makefile("rb") as said:
        connection.sendall(head.encode())
        refused = answered(said)
        connection.sendall(body)
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")

        assert refused in {b"403", b"415"}
        assert answered(said) == b"200"


def answered(said) -> bytes:
    """Read the next response and return its status."""
    status, length = said.readline().split()[1], 0
    while line := said.readline().strip():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    said.read(length)
    return status
