"""Requests with malicious names, ids, bodies, URLs and addresses."""

import contextlib
import re
import socket
import time

import httpx
import pytest

from resultstore.model.errors import AddressRefused
from resultstore.webhooks.addresses import AddressGuard
from tests.security import hostile
from tests.security.hostile import MIB
from tests.uploads.conftest import send

IDS = {
    "dots": "..",
    "slashes": "%2F%2F",
    "climbing": "..%2F..%2Fetc%2Fpasswd",
    "NUL": "%00",
    "300 characters": "x" * 300,
    "4 KB": "x" * 4096,
    "line end": "a%0d%0ab",
}
NAMES = {
    "traversal": "../../../etc/passwd",
    "NUL": "a\0.jpg",
    "CON": "CON",
    "4 KB": "x" * 4096,
    "right to left": "gnp.\u202egpj.exe",
    "line ends": 'a.jpg"\r\nSet-Cookie: a=b\r\n',
    "markup": "<img src=x onerror=alert(1)>.jpg",
}
FORBIDDEN = [
    "http://127.0.0.1/",
    "http://127.1/",
    "http://0177.0.0.1/",
    "http://0x7f000001/",
    "http://2130706433/",
    "http://localhost/",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://10.0.0.1/",
    "http://192.168.1.1/",
    "http://172.16.0.1/",
    "http://169.254.169.254/latest",
    "http://100.64.0.1/",
    "http://0.0.0.0/",
    "http://[::]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[fe80::1]/",
    "http://[fc00::1]/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "http://example.com:22/",
    "http://user@127.0.0.1/",
    "http://example.com@127.0.0.1/",
    "http://127.0.0.1.%00/",
]


@pytest.mark.parametrize("kind", IDS)
def test_an_id_that_is_none_is_not_found(target, attack, kind):
    with attack(f"hostile id: {kind}") as seen:
        for path in (f"/v1/results/{IDS[kind]}", f"/v1/results/{IDS[kind]}/artifacts/x", f"/v1/uploads/{IDS[kind]}"):
            answer = target.ann.get(path)
            assert answer.status_code in {400, 404, 405, 414, 422}, path
            assert "Traceback" not in answer.text
        seen.refused()


@pytest.mark.parametrize("kind", NAMES)
def test_malicious_file_name_is_only_a_name(target, attack, kind):
    with attack(f"hostile name: {kind}", max_s=30) as seen:
        answer = target.uploaded(hostile.jpeg(), name=NAMES[kind], media_type="image/jpeg", task="images.resize")
        if not answer.is_success:
            assert 400 <= answer.status_code < 500
            return seen.refused()
        outcome = target.outcome(answer)
        assert outcome.state == "SUCCESS", outcome.failure
        shown = target.ann.get(f"/v1/results/{outcome.id}")
        assert shown.headers["content-type"] == "application/json"
        assert shown.headers["x-content-type-options"] == "nosniff"
        for one in shown.json()["artifacts"]:
            got = target.ann.get(one["link"], follow_redirects=True)
            assert got.is_success
            assert "set-cookie" not in got.headers
            assert "/" not in one["file_name"]
            assert not any(letter in one["file_name"] for letter in "\0\r\n\u202e")
            assert got.headers["content-disposition"].startswith("attachment")
        return seen.harmless()


def test_deep_huge_or_invalid_json_is_refused(target, attack):
    with attack("deep, huge and wrong JSON") as seen:
        headers = {"content-type": "application/json"}
        for body in (hostile.deep_json(100_000), b'{"name":"' + b"x" * (8 * MIB) + b'"}', b"\xff\xfe", b"NaN"):
            answer = target.ann.post("/v1/uploads", content=body, headers=headers)
            assert answer.status_code in {400, 413, 422}, answer.text[:200]
        form = target.ann.post("/v1/uploads", data={f"f{n}": "x" for n in range(1_000)})
        assert form.status_code in {415, 422}
        seen.refused()


def test_slow_client_does_not_block_others(target, attack):
    with attack("slow clients", max_s=20) as seen, contextlib.ExitStack() as held:
        host, port = target.place.gateway.base_url.host, target.place.gateway.base_url.port
        for _ in range(100):
            one = held.enter_context(socket.create_connection((host, port)))
            one.sendall(b"POST /v1/uploads HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n{")
        began = time.monotonic()
        assert target.ann.get("/v1/results").is_success
        assert time.monotonic() - began < 5
        seen.harmless()


SIGNED = {
    "a bigger body": lambda ticket, body: httpx.put(ticket["url"], content=body + b"x", headers=ticket["headers"]),
    "another type": lambda ticket, body: httpx.put(
        ticket["url"], content=body, headers={**ticket["headers"], "content-type": "text/html"}
    ),
    "a header left out": lambda ticket, body: httpx.put(
        ticket["url"], content=body, headers={k: v for k, v in ticket["headers"].items() if k != "if-none-match"}
    ),
    "another key": lambda ticket, body: httpx.put(
        ticket["url"].replace("/uploads/", "/blobs/", 1), content=body, headers=ticket["headers"]
    ),
    "another method": lambda ticket, _: httpx.get(ticket["url"]),
    "a tampered signature": lambda ticket, body: httpx.put(
        ticket["url"][:-4] + "0000", content=body, headers=ticket["headers"]
    ),
    "a longer life": lambda ticket, body: httpx.put(
        re.sub(r"(?i)(expires=)", r"\g<1>9", ticket["url"]), content=body, headers=ticket["headers"]
    ),
}


@pytest.mark.parametrize("kind", SIGNED)
def test_signed_url_serves_only_what_was_signed(target, attack, kind):
    with attack(f"signed upload with {kind}") as seen:
        body = hostile.jpeg()
        wanted = {
            "name": "a.jpg",
            "media_type": "image/jpeg",
            "task": "images.resize",
            "options": {},
            "size_bytes": len(body),
        }
        ticket = target.ann.post("/v1/uploads", json=wanted).json()
        try:
            answer = SIGNED[kind](ticket, body)
            assert 400 <= answer.status_code < 500, (answer.status_code, answer.text)
        except httpx.TransportError:
            pass  # refused before all of it was sent
        assert target.ann.post(f"/v1/uploads/{ticket['id']}/complete", json={}).status_code == 409
        target.ann.delete(f"/v1/uploads/{ticket['id']}").raise_for_status()
        seen.refused()


def test_what_was_sent_once_cannot_be_written_over(target, attack):
    with attack("overwrite after the upload") as seen:
        body = hostile.jpeg()
        wanted = {
            "name": "a.jpg",
            "media_type": "image/jpeg",
            "task": "images.resize",
            "options": {},
            "size_bytes": len(body),
        }
        ticket = target.ann.post("/v1/uploads", json=wanted).json()
        assert send(ticket, body).is_success
        assert send(ticket, body[::-1]).status_code == 412
        target.ann.delete(f"/v1/uploads/{ticket['id']}").raise_for_status()
        seen.refused()


def test_download_type_and_name_cannot_be_changed(target, attack):
    with attack("added response-content-type, bombs of ranges") as seen:
        made = target.uploaded(hostile.jpeg(), name="a.jpg", media_type="image/jpeg", task="images.resize")
        outcome = target.outcome(made)
        link = target.ann.get(f"/v1/results/{outcome.id}").json()["artifacts"][0]["link"]
        url = target.ann.get(link).headers["location"]
        for more in ("&response-content-type=text/html", "&response-content-disposition=inline"):
            answer = httpx.get(url + more)
            assert answer.status_code == 403 or not answer.headers["content-type"].startswith("text/html")
        ranges = httpx.get(url, headers={"Range": "bytes=" + ",".join(f"{n}-{n}" for n in range(2_000))})
        assert len(ranges.content) <= max(one.size_bytes for one in outcome.artifacts)
        seen.refused()


@pytest.mark.parametrize("url", FORBIDDEN)
def test_private_webhook_addresses_are_refused(target, attack, url):
    with attack(f"webhook to {url}") as seen:
        addresses = AddressGuard(ports=frozenset({80, 443}))
        with pytest.raises(AddressRefused):
            addresses.check_addresses("host", ["127.0.0.1"]) if "localhost" in url else addresses.check_url(url)
        answer = target.ann.post("/v1/tasks/examples.report", json={"arguments": {}, "webhook_url": url})
        assert 400 <= answer.status_code < 500, answer.text
        seen.refused()


def test_many_tickets_meet_a_quota(target, attack):
    with attack("a flood of tickets", max_s=60) as seen:
        wanted = {"name": "a.jpg", "media_type": "image/jpeg", "task": "images.resize", "options": {}, "size_bytes": 5}
        made = []
        while (answer := target.bob.post("/v1/uploads", json=wanted)).is_success:
            made.append(answer.json()["id"])
            assert len(made) < 2_000
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) > 0
        assert target.ann.get("/v1/results").is_success
        for one in made:
            target.bob.delete(f"/v1/uploads/{one}")
        seen.refused()


def test_an_upload_of_nothing_gets_no_ticket(target, attack):
    with attack("zero bytes and impossible sizes") as seen:
        for size in (0, -1, 1 << 60, 1.5, "9"):
            wanted = {
                "name": "a.jpg",
                "media_type": "image/jpeg",
                "task": "images.resize",
                "options": {},
                "size_bytes": size,
            }
            assert target.ann.post("/v1/uploads", json=wanted).status_code in {413, 422}
        seen.refused()


def test_logs_and_errors_contain_no_secrets(target, attack):
    with attack("secrets in logs and errors") as seen:
        log = target.log.read_text()
        token = target.ann.headers["authorization"].removeprefix("Bearer ")
        for secret in ("X-Amz-Signature=", token, "k" * 32):
            assert secret not in log
        answer = target.ann.get("/v1/results/nobody-knows")
        assert str(target.folder) not in answer.text
        seen.refused()
