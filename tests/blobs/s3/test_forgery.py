"""ForgedRequests: which unsigned writes MinIO's last upstream source carries out, and where."""

import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest
from minio.credentials import StaticProvider
from minio.minioadmin import MinioAdmin

from resultstore.blobs.s3.credentials import Credentials
from resultstore.blobs.s3.forgery import ForgedRequests, probe_keys
from resultstore.blobs.s3.target import S3Target
from resultstore.model.errors import BlobStoreUnavailable

UPLOAD_KEY = probe_keys()[1]


class Checking(BaseHTTPRequestHandler):
    """A store that checks every signature."""

    def do_PUT(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = b"<Error><Code>SignatureDoesNotMatch</Code></Error>"
        self.send_response(403)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """The tests say what is worth saying."""


class CheckingQueries(Checking):
    """A store that checks the signatures in queries, and none of an archive (CVE-2026-40344 alone)."""

    def do_PUT(self):
        if "x-amz-meta-snowball-auto-extract" not in self.headers:
            return super().do_PUT()
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        return self.end_headers()


@pytest.fixture
def checking(request):
    server = ThreadingHTTPServer(("127.0.0.1", 0), getattr(request, "param", Checking))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield S3Target(bucket="results", endpoint_url=f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def account(s3_server, s3_target):
    """Make an account that may write below these areas of the root; the key of which only the id is known."""
    provider = StaticProvider(s3_server.access_key, s3_server.secret_key)
    admin = MinioAdmin(endpoint=s3_server.endpoint.partition("://")[2], credentials=provider, secure=False)
    made = []

    def make(*areas):
        where = [f"arn:aws:s3:::{s3_target.bucket}/{s3_target.object_key(area)}*" for area in areas]
        allowed = {"Effect": "Allow", "Action": ["s3:PutObject"], "Resource": where}
        key = f"forged{secrets.token_hex(4)}"
        policy = {"Version": "2012-10-17", "Statement": [allowed]}
        admin.add_service_account(access_key=key, secret_key=secrets.token_hex(16), policy=policy)
        made.append(key)
        return lambda: Credentials(key, "not its secret")

    yield make
    for key in made:
        admin.delete_service_account(key)


@pytest.mark.parametrize("forge", ["by_query", "by_archive"])
def test_minio_writes_on_a_key_id_alone(s3_target, s3_blobs, account, forge):
    forger, key = ForgedRequests(s3_target, credentials=account("uploads/")), UPLOAD_KEY

    assert getattr(forger, forge)(key)
    assert b"".join(s3_blobs.get(key)) == b"probe"


@pytest.mark.parametrize("forge", ["by_query", "by_archive"])
def test_an_unknown_key_id_writes_nothing(s3_target, s3_blobs, forge):
    forger = ForgedRequests(s3_target, credentials=lambda: Credentials("nobody", "not its secret"))

    assert not getattr(forger, forge)(UPLOAD_KEY)
    assert list(s3_blobs.list("")) == []


@pytest.mark.parametrize(
    ("areas", "reach"),
    [
        (["uploads/"], ()),
        (["uploads/", "blobs/"], ("blobs/",)),
        (["seals/"], ("seals/",)),
        ([""], ("blobs/", "seals/", "the root")),
    ],
)
def test_reach_is_found_without_writing(s3_target, s3_blobs, account, areas, reach):
    assert ForgedRequests(s3_target, credentials=account(*areas)).reach() == reach
    assert list(s3_blobs.list("")) == []


def test_a_root_key_reaches_everything(s3_target, s3_blobs, s3_server):
    forger = ForgedRequests(s3_target, credentials=lambda: Credentials(s3_server.access_key, "not its secret"))

    assert forger.reach() == ("blobs/", "seals/", "the root", "the bucket")
    assert list(s3_blobs.list("")) == []


def test_a_store_that_checks_signatures_is_not_forgeable(checking):
    forger = ForgedRequests(checking, credentials=lambda: Credentials("known", "secret", "a token"))

    assert not forger.by_query(UPLOAD_KEY)
    assert not forger.by_archive(UPLOAD_KEY)
    assert forger.reach() == ()


@pytest.mark.parametrize("checking", [CheckingQueries], indirect=True)
def test_a_store_that_unpacks_unsigned_archives_is_found(checking):
    forger = ForgedRequests(checking, credentials=lambda: Credentials("known", "secret"))

    assert not forger.by_query(UPLOAD_KEY)
    assert forger.by_archive(UPLOAD_KEY)
    assert forger.reach() == ("blobs/",)


def test_a_missing_bucket_is_not_taken_for_forgeable(s3_target, s3_credentials):
    nowhere = msgspec.structs.replace(s3_target, bucket=f"none-{secrets.token_hex(8)}")

    assert ForgedRequests(nowhere, credentials=s3_credentials).reach() == ()


def test_a_store_that_is_away_cannot_be_asked(s3_target, s3_credentials):
    forger = ForgedRequests(
        msgspec.structs.replace(s3_target, endpoint_url="http://127.0.0.1:9"), credentials=s3_credentials
    )

    for ask in (forger.reach, lambda: forger.by_query(UPLOAD_KEY), lambda: forger.by_archive(UPLOAD_KEY)):
        with pytest.raises(BlobStoreUnavailable, match="RESULTSTORE_S3_ENDPOINT"):
            ask()
