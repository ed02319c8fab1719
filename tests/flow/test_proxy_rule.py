"""The proxy rule of docs/how-to/minio.md, in a real nginx in front of a MinIO that carries out unsigned writes."""

import http.client
import os
import re
import shutil
import subprocess
from pathlib import Path

import httpx
import msgspec
import pytest

from resultstore.blobs.blobstore import Part
from resultstore.blobs.s3.bucket import S3Bucket
from resultstore.blobs.s3.driver import S3Blobs
from resultstore.blobs.s3.forgery import ForgedRequests, probe_keys
from resultstore.blobs.s3.signer import S3Signer
from resultstore.ops.embedded import free_port
from resultstore.testing.promises import MIB
from tests.uploads.telling import until

PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/minio.md"
RULE = re.compile(r"^```nginx\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PATH = os.pathsep.join([*os.get_exec_path(), "/usr/sbin"])
KEY = "uploads/1d/ab/x/" + "0" * 32
TRAILER = {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}


@pytest.fixture
def before(s3_target, tmp_path):
    """The same bucket, reached through nginx with the rule."""
    port, store = free_port(), s3_target.endpoint_url
    [rule] = RULE.findall(PAGE.read_text())
    shown = {"listen 9000;": f"listen 127.0.0.1:{port};", "http://127.0.0.1:9001": store}
    assert all(rule.count(one) == 1 for one in shown)
    for one, own in shown.items():
        rule = rule.replace(one, own)
    folders = "".join(f"{name}_temp_path {tmp_path}/{name};\n" for name in TEMPORARY)
    user = "user root;\n" if os.geteuid() == 0 else ""
    main = f"{user}daemon off;\npid {tmp_path}/pid;\nerror_log {tmp_path}/error.log;\nevents {{}}\n"
    (tmp_path / "conf").write_text(f"{main}http {{\naccess_log off;\n{folders}{rule}\n}}\n")
    program = shutil.which("nginx", path=PATH)
    assert program, "nginx is not installed: scripts/services programs"
    process = subprocess.Popen([program, "-p", tmp_path, "-e", tmp_path / "error.log", "-c", tmp_path / "conf"])
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: answers(f"{url}/minio/health/ready"), "nginx is ready")
        yield msgspec.structs.replace(s3_target, endpoint_url=url)
    finally:
        process.terminate()
        process.wait(20)


TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


def raw_status(signed, headers: dict[str, str], body: bytes) -> int:
    """The status of a request with exactly these headers."""
    url = httpx.URL(signed.url)
    connection = http.client.HTTPConnection(url.host, url.port, timeout=10)
    connection.request("PUT", url.raw_path.decode(), body=body, headers=headers)
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize("forge", ["by_query", "by_archive"])
def test_the_rule_refuses_unsigned_writes(before, s3_target, s3_credentials, s3_blobs, forge):
    through, around = (ForgedRequests(one, credentials=s3_credentials) for one in (before, s3_target))

    assert not getattr(through, forge)(probe_keys()[0])
    assert list(s3_blobs.list("")) == []
    assert getattr(around, forge)(probe_keys()[0]), "without the rule it is carried out"


def test_the_rule_leaves_a_key_no_reach(before, s3_credentials):
    assert ForgedRequests(before, credentials=s3_credentials).reach() == ()


@pytest.mark.parametrize("authorization", ["", " ", "AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature=0"])
def test_no_authorization_header_gets_past_the_rule(before, s3_credentials, s3_blobs, authorization):
    signed = S3Signer(before, credentials=s3_credentials).sign_put(KEY, expires_in_s=60, size_bytes=1, media_type="a/b")
    body = b"1\r\nx\r\n0\r\n\r\n\r\n"
    claims = {**TRAILER, "x-amz-decoded-content-length": "1", "authorization": authorization}

    assert raw_status(signed, claims, body) in {400, 403}
    assert list(s3_blobs.list("")) == []


def test_the_rule_refuses_unsigned_parts(before, s3_credentials, s3_blobs):
    upload = s3_blobs.begin_parts(KEY, media_type="a/b")
    signed = S3Signer(before, credentials=s3_credentials).sign_part(
        KEY, expires_in_s=60, upload_id=upload, number=1, size_bytes=1
    )
    claims = {**TRAILER, "x-amz-decoded-content-length": "1"}

    assert raw_status(signed, claims, b"1\r\nx\r\n0\r\n\r\n\r\n") == 403
    assert s3_blobs.parts(KEY, upload_id=upload) == ()
    s3_blobs.abort_parts(KEY, upload_id=upload)


def test_all_honest_requests_pass_the_rule(before, s3_credentials):
    blobs, signer = S3Blobs(before, credentials=s3_credentials), S3Signer(before, credentials=s3_credentials)
    whole, part = b"w" * MIB, b"p" * (5 * MIB)

    sent = signer.sign_put(KEY, expires_in_s=60, size_bytes=len(whole), media_type="a/b")
    assert httpx.put(sent.url, content=whole, headers=sent.headers).status_code == 200
    upload = blobs.begin_parts(f"{KEY}.1", media_type="a/b")
    asked = signer.sign_part(f"{KEY}.1", expires_in_s=60, upload_id=upload, number=1, size_bytes=len(part))
    answer = httpx.put(asked.url, content=part, headers=asked.headers, timeout=30)
    made = Part(number=1, size_bytes=len(part), etag=answer.headers["etag"].strip('"'))
    assert blobs.complete_parts(f"{KEY}.1", upload_id=upload, parts=[made]).size_bytes == len(part)
    read = signer.sign_get(KEY, expires_in_s=60, file_name="w", media_type="a/b")
    assert httpx.get(read.url).content == whole
    blobs.put("blobs/1d/ab/x/" + "1" * 32 + ".0", [b"x" * (12 * MIB)], media_type="a/b")
    assert not S3Bucket(before, credentials=s3_credentials).ensure()
