"""Other origins: DNS rebinding, foreign pages, forged proxy headers, and documents that load resources."""

import contextlib
import socket
import threading

import httpx
import pytest

from tests.gateway.test_own_server import made, plainly_served
from tests.security import hostile

EVIL = "evil.example"


@contextlib.contextmanager
def listening():
    """A server that nothing may connect to; it records the connections."""
    came: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        over = threading.Event()

        def accept() -> None:
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    listener.accept()[0].close()
                    came.append("connected")

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/", came
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize("host", [EVIL, f"127.0.0.1.{EVIL}", f"localhost.{EVIL}:80", "", "[::1", "169.254.169.254"])
def test_rebound_host_name_is_refused(target, attack, host):
    with attack(f"DNS rebinding as {host or 'no host'}") as seen:
        for who in (target.ann, target.anonymous):
            for path in ("/", "/v1/session", "/v1/results"):
                assert who.get(path, headers={"Host": host}).status_code in {400, 421}
        seen.refused()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": f"http://{EVIL}"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    ],
    ids=["foreign", "opaque", "cross-site", "sibling"],
)
def test_another_sites_page_writes_nothing(target, attack, headers):
    with attack(f"cross-site POST with {headers}") as seen:
        for path in ("/v1/tasks/examples.report", "/v1/uploads"):
            assert target.ann.post(path, json={"arguments": {}}, headers=headers).status_code == 403
        assert "access-control-allow-origin" not in target.ann.get("/v1/session", headers=headers).headers
        seen.refused()


@pytest.mark.parametrize("media_type", ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"])
def test_a_form_is_no_request_however_large(target, attack, media_type):
    with attack(f"a body of {media_type}") as seen:
        for body in (b"{}", b"a=" + b"b" * 500_000, b"a=b&" * 400_000):
            answer = target.ann.post("/v1/tasks/examples.report", content=body, headers={"Content-Type": media_type})
            assert answer.status_code in {413, 415}
        seen.refused()


def test_links_ignore_forwarded_headers(target, attack):
    with attack("X-Forwarded-Host and its kin", max_s=30) as seen:
        spoofed = {
            "X-Forwarded-Host": EVIL,
            "X-Forwarded-Proto": "gopher",
            "Forwarded": f"host={EVIL}",
            "X-Original-URL": f"http://{EVIL}/",
            "X-HTTP-Method-Override": "DELETE",
        }
        made = target.uploaded(hostile.jpeg(), name="a.jpg", media_type="image/jpeg", task="images.resize")
        outcome = target.outcome(made)
        told = target.ann.get(f"/v1/results/{outcome.id}", headers=spoofed)
        led = target.ann.get(told.json()["artifacts"][0]["link"], headers=spoofed)
        ticket = target.ann.post(
            "/v1/uploads",
            json={"name": "a", "media_type": "image/jpeg", "task": "images.resize", "options": {}, "size_bytes": 5},
            headers=spoofed,
        )
        assert (told.status_code, led.status_code, ticket.status_code) == (200, 302, 201)
        for answer in (told, led, ticket, target.ann.get("/v1/results/", headers=spoofed)):
            assert EVIL not in answer.text + str(answer.headers)
        target.ann.delete(f"/v1/uploads/{ticket.json()['id']}")
        seen.harmless()


def test_page_sends_no_referrer(target, attack):
    with attack("Referer", max_s=30) as seen:
        made = target.uploaded(hostile.jpeg(), name="a.jpg", media_type="image/jpeg", task="images.resize")
        link = target.ann.get(f"/v1/results/{target.outcome(made).id}").json()["artifacts"][0]["link"]
        led = target.ann.get(link)
        for answer in (target.ann.get("/"), target.ann.get("/v1/results"), led, httpx.get(led.headers["location"])):
            assert answer.headers["referrer-policy"] == "no-referrer"
        seen.refused()


@pytest.mark.parametrize(
    "ranges", ["0-0,1-1," * 2_000, "0-," * 1_300, "9" * 4_000 + "-", "-" + "9" * 4_000, "0-0," * 50]
)
def test_many_ranges_cost_no_more_than_the_file(target, attack, ranges):
    with attack(f"Range bomb {ranges[:8]}", max_s=30) as seen:
        made = target.uploaded(hostile.jpeg(), name="a.jpg", media_type="image/jpeg", task="images.resize")
        artifact = target.outcome(made).artifacts[0]
        link = target.ann.get(f"/v1/results/{artifact.id}/artifacts/{artifact.name}").headers["location"]
        answer = httpx.get(link, headers={"Range": f"bytes={ranges.rstrip(',')}"})
        assert answer.status_code in {200, 206, 416}
        assert len(answer.content) <= artifact.size_bytes
        seen.harmless()


def test_a_report_of_hostile_cells_reaches_for_nothing(target, attack):
    with attack("HTML and typst in a report", max_s=60) as seen, listening() as (url, came):
        cells = [
            f'<img src="{url}"/>',
            '<img src="file:///etc/passwd"/>',
            f'<link rel="stylesheet" href="{url}"><iframe src="{url}"></iframe><script src="{url}"></script>',
            '#image("/etc/passwd") #read("/etc/passwd")',
            f'<para><a href="{url}">x</a></para><font name="{url}">x</font>',
            "\\input{/etc/passwd}",
        ]
        rows = "\n".join('"' + cell.replace('"', '""') + f'",{number}' for number, cell in enumerate(cells * 5))
        made = target.uploaded(
            f"cell,number\n{rows}\n".encode(),
            name='"><img src=x>.csv',
            media_type="text/csv",
            task="pdf.report",
            options={"title": cells[0]},
        )
        outcome = target.outcome(made)
        assert outcome.state == "SUCCESS", outcome.failure
        report = next(one for one in outcome.artifacts if one.media_type == "application/pdf")
        with target.place.store.open(report) as content:
            assert b"/URI" not in (body := content.read())
        assert b"/EmbeddedFile" not in body
        assert came == []
        seen.harmless()


def test_an_open_app_is_closed_to_other_addresses(attack, tmp_path):
    # given an address of this machine that is not loopback: requests to it come from it
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("203.0.113.1", 9))  # sends nothing
        address = probe.getsockname()[0]
    assert not address.startswith("127."), "this machine has no other address"

    with attack("an open gateway from another address", max_s=30) as seen:
        with plainly_served(made(tmp_path), host="0.0.0.0") as url:
            outside = url.replace("127.0.0.1", address)
            for host in ("localhost", "127.0.0.1", EVIL):
                for path in ("/", "/v1/session", "/v1/results", "/v1/openapi.json", "/readyz"):
                    assert httpx.get(outside + path, headers={"Host": host}).status_code == 403
            assert httpx.get(f"{url}/v1/session").status_code == 200
        seen.refused()
