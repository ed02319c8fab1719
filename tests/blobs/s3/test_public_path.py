"""A public endpoint below a path: the proxy removes the path, so it is in the URL and not in the signature."""

import base64
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import httpx
import msgspec
import pytest

from resultstore.blobs.blobstore import Part
from resultstore.blobs.s3.credentials import Credentials
from resultstore.blobs.s3.signer import S3Signer
from resultstore.blobs.s3.target import S3Target
from resultstore.model.errors import Misconfigured
from resultstore.ops.embedded import free_port
from resultstore.testing.promises import MIB
from tests.blobs.signed import KEY, PDF
from tests.uploads.telling import until

PATH = os.pathsep.join([*os.get_exec_path(), "/usr/sbin"])
PAGE = Path(__file__).resolve().parents[3] / "docs/how-to/public-endpoint.md"
RULE = re.compile(r"^```nginx\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAIR = Credentials("id", "secret")
CONF = """{user}daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  {temporary}
  server {{
    listen 127.0.0.1:{port};
    location = /ready {{ return 200; }}
    {rule}
  }}
}}
"""


@pytest.fixture
def public_url(s3_target, tmp_path):
    """The rule of docs/how-to/public-endpoint.md in an nginx before the real MinIO."""
    port = free_port()
    folders = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    [rule] = RULE.findall(PAGE.read_text())
    assert rule.count("http://127.0.0.1:9000/;") == 1
    conf = CONF.format(
        rule=rule.replace("http://127.0.0.1:9000/;", f"{s3_target.endpoint_url}/;"),
        user="user root;\n" if os.geteuid() == 0 else "",
        folder=tmp_path,
        temporary=" ".join(f"{name}_temp_path {tmp_path}/{name};" for name in folders),
        port=port,
    )
    (tmp_path / "conf").write_text(conf)
    program = shutil.which("nginx", path=PATH)
    assert program, "nginx is not installed: scripts/services programs"
    process = subprocess.Popen([program, "-p", tmp_path, "-e", tmp_path / "error.log", "-c", tmp_path / "conf"])
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/ready"), "nginx is ready")
        yield f"http://127.0.0.1:{port}/minio/"
    finally:
        process.terminate()
        process.wait(20)


def answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


@pytest.fixture(params=["", "team a/ü+~(1)"], ids=["plain", "odd prefix"])
def target(request, s3_target, public_url) -> S3Target:
    prefix = request.param or s3_target.prefix
    return msgspec.structs.replace(s3_target, public_endpoint_url=public_url, prefix=prefix)


@pytest.fixture
def signer(target, s3_credentials) -> S3Signer:
    return S3Signer(target, credentials=s3_credentials)


@pytest.fixture
def blobs(target, s3_credentials):
    from resultstore.blobs.s3.driver import S3Blobs  # noqa: PLC0415 - next to its use

    return S3Blobs(target, credentials=s3_credentials)


def test_reads_pass_the_proxy(signer, blobs, public_url):
    blobs.put(KEY, [b"%PDF-1.7"], media_type="application/pdf")
    signed = signer.sign_get(KEY, expires_in_s=60, **PDF)
    assert signed.url.startswith(public_url)
    answer = httpx.get(signed.url, headers={"Range": "bytes=1-3"})
    assert (answer.status_code, answer.content) == (206, b"PDF")
    assert answer.headers["content-type"] == PDF["media_type"]
    assert httpx.get(signed.url.replace("/minio/", "/")).status_code == 404
    assert httpx.get(signed.url.replace(KEY[-4:], "0000")).status_code in {403, 404}


def test_head_url_returns_headers_only(signer, blobs):
    stored = blobs.put(KEY, [b"%PDF-1.7"], media_type="application/pdf")
    signed = signer.sign_get(KEY, expires_in_s=60, method="HEAD", **PDF)
    assert signed.method == "HEAD"
    answer = httpx.head(signed.url)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == "8"
    assert answer.headers["etag"].strip('"') == stored.etag
    assert httpx.get(signed.url).status_code == 403
    assert httpx.head(signer.sign_get(KEY, expires_in_s=60, **PDF).url).status_code == 403


def test_writes_pass_the_proxy(signer, blobs):
    checksum = base64.b64encode(hashlib.sha256(b"whole").digest()).decode()
    sent = signer.sign_put(KEY, expires_in_s=60, size_bytes=5, media_type="a/b", checksum_sha256=checksum)
    assert httpx.put(sent.url, content=b"whole", headers=sent.headers).status_code == 200
    assert httpx.put(sent.url, content=b"whole", headers=sent.headers).status_code == 412
    upload, part = blobs.begin_parts(f"{KEY}1", media_type="a/b"), b"p" * (5 * MIB)
    asked = signer.sign_part(f"{KEY}1", expires_in_s=60, upload_id=upload, number=1, size_bytes=len(part))
    answer = httpx.put(asked.url, content=part, headers=asked.headers, timeout=30)
    made = Part(number=1, size_bytes=len(part), etag=answer.headers["etag"].strip('"'))
    assert blobs.complete_parts(f"{KEY}1", upload_id=upload, parts=[made]).size_bytes == len(part)
    form = signer.sign_form(f"{KEY}2", expires_in_s=60, size_bytes=4, media_type="a/b")
    assert httpx.post(form.url, data=dict(form.fields), files={"file": ("x", b"form", "a/b")}).is_success
    assert b"".join(blobs.get(f"{KEY}2")) == b"form"


def test_origin_has_no_path():
    target = S3Target(bucket="b", endpoint_url="http://minio:9000", public_endpoint_url="https://files.test/a/minio/")
    signer = S3Signer(target, credentials=lambda: PAIR)
    assert signer.origin == "https://files.test"
    assert signer.sign_get(KEY, expires_in_s=60, **PDF).url.startswith(f"https://files.test/a/minio/b/{KEY}?")


def test_signature_is_that_of_the_path_below():
    """The same signature as without the path: the store sees neither path nor proxy."""
    plain = S3Target(bucket="b", public_endpoint_url="https://files.test")
    below = msgspec.structs.replace(plain, public_endpoint_url="https://files.test/minio")
    first, second = (
        S3Signer(one, credentials=lambda: PAIR, now=lambda: 1_800_000_000).sign_get(KEY, expires_in_s=60, **PDF).url
        for one in (plain, below)
    )
    assert second.replace("/minio/", "/") == first


@pytest.mark.parametrize("path", ["//x", "/a//b", "/..", "/a/../b", "/.", "/a b", "/%2e", "/ü", "/a?b=1", "/a#b"])
def test_path_that_a_proxy_would_change_is_refused(path):
    with pytest.raises(Misconfigured, match="RESULTSTORE_S3_PUBLIC_ENDPOINT"):
        S3Target(bucket="b", public_endpoint_url=f"https://files.test{path}")


def test_own_endpoint_has_no_path():
    with pytest.raises(Misconfigured, match="RESULTSTORE_S3_ENDPOINT must be"):
        S3Target(bucket="b", endpoint_url="http://minio:9000/path")
