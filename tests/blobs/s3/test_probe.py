"""S3Probes: MinIO passes, and a store that keeps less is found out."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import msgspec
import pytest

from resultstore.blobs.obstore.retry import Retries
from resultstore.blobs.s3.bucket import S3Bucket
from resultstore.blobs.s3.credentials import Credentials
from resultstore.blobs.s3.driver import S3Blobs
from resultstore.blobs.s3.probe import S3Probes
from resultstore.blobs.s3.target import S3Target
from resultstore.model.errors import BlobStoreUnavailable


def probes_of(target, credentials):
    once = Retries(tries=1)
    blobs = S3Blobs(target, credentials=credentials, retries=once)
    return S3Probes(S3Bucket(target, credentials=credentials, retries=once), blobs, credentials=credentials)


class Lax(BaseHTTPRequestHandler):
    """A store with every known vice: it accepts everything, keeps torn bytes, has neither rules nor tags."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        length = int(self.headers["content-length"])
        self.server.bodies[self.key()] = self.rfile.read(length)
        self.answer(200)

    def do_GET(self):
        query = urlsplit(self.path).query
        if query in ("lifecycle", "tagging"):
            self.answer(501, b"<Error><Code>NotImplemented</Code></Error>")
        elif "list-type" in query:
            self.answer(200, b"<ListBucketResult></ListBucketResult>")
        else:
            body = self.server.bodies.get(self.key())
            self.answer(404 if body is None else 200, body or b"")

    do_HEAD = do_GET  # noqa: N815  http.server finds it by name

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.server.bodies.clear()
        self.answer(200, b"<DeleteResult><Deleted><Key>any</Key></Deleted></DeleteResult>")

    def key(self):
        return urlsplit(self.path).path

    def answer(self, status, body=b""):
        self.send_response(status)
        for name, value in {
            "content-length": len(body),
            "etag": '"e"',
            "last-modified": self.date_time_string(),
        }.items():
            self.send_header(name, str(value))
        self.end_headers()
        if body and self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        """The tests say what is worth saying."""


@pytest.fixture
def lax():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Lax)
    server.bodies = {}
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    target = S3Target(bucket="results", endpoint_url=f"http://127.0.0.1:{server.server_port}")
    yield probes_of(target, lambda: Credentials("key", "secret"))
    server.shutdown()
    server.server_close()
    thread.join()


def test_minio_passes_all_but_unsigned_writes_leaving_nothing(s3_target, s3_credentials, s3_blobs):
    found = [probe() for probe in probes_of(s3_target, s3_credentials).tries()]

    assert [probe.name for probe in found if not probe.ok] == ["unsigned writes"]
    assert len({probe.name for probe in found}) == 10
    assert all(probe.detail and bool(probe.remedy) != probe.ok for probe in found)
    assert list(s3_blobs.list("")) == []


def test_careless_store_fails_every_probe_but_the_clock(lax):
    found = [probe() for probe in lax.tries()]

    assert [probe.name for probe in found if probe.ok] == ["clock"]
    assert all(probe.remedy for probe in found if not probe.ok)


def test_a_clock_that_is_off_is_found_out(s3_target, s3_credentials, monkeypatch):
    probes = probes_of(s3_target, s3_credentials)
    now = time.time
    monkeypatch.setattr("resultstore.blobs.s3.probe.time.time", lambda: now() + 300)

    found = probes.agrees_on_the_time()

    assert not found.ok
    assert "+300" in found.detail or "+299" in found.detail or "+301" in found.detail


def test_a_store_that_is_down_cannot_be_probed(s3_target, s3_credentials):
    down = msgspec.structs.replace(s3_target, endpoint_url="http://127.0.0.1:9")
    probes = probes_of(down, s3_credentials)

    for probe in (S3Probes.checks_checksums, S3Probes.drops_torn_uploads, S3Probes.knows_lifecycle, S3Probes.ends_urls):
        with pytest.raises(BlobStoreUnavailable, match="RESULTSTORE_S3_ENDPOINT"):
            probe(probes)
