"""The check of a download by URL reports every way in which it can fail."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from resultstore.cli.check import fetch
from resultstore.model.artifact import Artifact

BODY = b"what was promised"
ANSWERS = {"good": BODY, "other": BODY[::-1], "short": BODY[:-1], "long": BODY + b"!"}


class Liar(BaseHTTPRequestHandler):
    """Redirects, then answers with the entry of ANSWERS for the last segment of the path."""

    def do_GET(self):
        name = self.path.rpartition("/")[2]
        if not self.path.startswith("/bytes/"):
            self.send_response(302)
            self.send_header("Location", f"/bytes/{name}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = ANSWERS.get(name, b"")
        self.send_response(200 if name in ANSWERS else 410)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args):
        """Nothing: pytest's output is read by people."""


@pytest.fixture(scope="module")
def liar():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Liar)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def promised(name):
    return Artifact(
        id="job",
        name=name,
        file_name=name,
        key="",
        etag="",
        size_bytes=len(BODY),
        media_type="text/plain",
        sha256=hashlib.sha256(BODY).hexdigest(),
        stored_bytes=len(BODY),
    )


def test_what_was_promised_is_found_good(liar):
    checked = fetch(promised("good"), gateway_url=liar)

    assert (checked.ok, checked.fault, checked.size_bytes) == (True, "", len(BODY))


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("other", "the sha256 differs"),
        ("short", "16 bytes received"),
        ("long", "18 bytes received"),
        ("gone", "HTTP 410"),
    ],
)
def test_anything_else_is_a_fault(liar, name, fault):
    checked = fetch(promised(name), gateway_url=liar)

    assert not checked.ok
    assert fault in checked.fault


def test_unreachable_gateway_is_a_fault():
    checked = fetch(promised("good"), gateway_url="http://127.0.0.1:1")

    assert "ConnectError" in checked.fault
