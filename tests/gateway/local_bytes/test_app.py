"""The bytes listener: signed reads with ranges, signed writes, and nothing else."""

import base64
import hashlib
import time
from urllib.parse import urlsplit

import httpx
import pytest

from resultstore.blobs.local.signer import LocalSigner
from resultstore.model import layout
from resultstore.model.errors import BlobMissing
from tests.gateway.conftest import SECRET

BODY = bytes(range(256)) * 40


@pytest.fixture
def key():
    return layout.blob_key("job", retention="1d", nonce=layout.new_nonce(), n=0)


@pytest.fixture
def url(served, key):
    """Return a URL that reads BODY."""
    served.blobs.put(key, [BODY], media_type="text/plain")
    return served.signer.sign_get(key, expires_in_s=60, file_name="a.txt", media_type="text/plain").url


def signed_put(served, key, body, **kwargs):
    return served.signer.sign_put(key, expires_in_s=60, size_bytes=len(body), media_type="image/png", **kwargs)


def test_signed_url_returns_bytes_with_signed_headers(url):
    answer = httpx.get(url)

    assert answer.content == BODY
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["content-disposition"] == 'attachment; filename="a.txt"'
    assert answer.headers["accept-ranges"] == "bytes"


def test_every_response_has_safe_headers(url):
    for answer in (httpx.get(url), httpx.get(url + "x")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"  # the page has another origin
        assert answer.headers["referrer-policy"] == "no-referrer"


def test_head_returns_length_and_etag_without_body(url):
    answer = httpx.head(url)

    assert answer.status_code == 200
    assert answer.headers["content-length"] == str(len(BODY))
    assert answer.headers["etag"] == httpx.get(url).headers["etag"]
    assert answer.content == b""


def test_head_url_returns_headers_only(served, url, key):
    signed = served.signer.sign_get(key, expires_in_s=60, file_name="a.txt", media_type="a/b", method="HEAD")
    answer = httpx.head(signed.url)

    assert signed.method == "HEAD"
    assert (answer.status_code, answer.headers["content-length"]) == (200, str(len(BODY)))
    assert answer.headers["content-type"] == "a/b"
    assert httpx.get(signed.url).status_code == 403
    assert httpx.put(signed.url, content=b"x").status_code == 403
    assert httpx.head(signed.url + "0").status_code == 403


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-9", 5, 10),
        ("bytes=10000-", 10000, len(BODY)),
        ("bytes=-7", len(BODY) - 7, len(BODY)),
        ("bytes=-999999", 0, len(BODY)),
        ("bytes=10239-999999", 10239, len(BODY)),
        ("Bytes = 1-2", 1, 3),
    ],
)
def test_a_range_gives_exactly_those_bytes(url, asked, start, end):
    answer = httpx.get(url, headers={"Range": asked})

    assert answer.status_code == 206
    assert answer.content == BODY[start:end]
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(BODY)}"
    assert answer.headers["content-length"] == str(end - start)


@pytest.mark.parametrize("asked", ["bytes=10240-", "bytes=99999-100000", "bytes=-0"])
def test_a_range_outside_is_refused_with_the_length(url, asked):
    answer = httpx.get(url, headers={"Range": asked})

    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(BODY)}"


@pytest.mark.parametrize("asked", ["bytes=5-2", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=0-1,4-5", "bytes=", "0-5"])
def test_invalid_or_multiple_ranges_return_the_whole_blob(url, asked):
    answer = httpx.get(url, headers={"Range": asked})

    assert (answer.status_code, answer.content) == (200, BODY)


def test_if_range_resumes_only_the_same_blob(url):
    etag = httpx.head(url).headers["etag"]
    rest = {"Range": "bytes=10000-"}

    assert httpx.get(url, headers=rest | {"If-Match": etag}).status_code == 206
    assert httpx.get(url, headers=rest | {"If-Match": '"other"'}).status_code == 412
    assert httpx.get(url, headers=rest | {"If-Range": etag}).status_code == 206
    assert httpx.get(url, headers=rest | {"If-Range": '"other"'}).status_code == 200
    assert httpx.get(url, headers={"If-None-Match": etag}).status_code == 304


def test_expired_tampered_or_misused_url_is_refused(served, key, url):
    other = layout.blob_key("job", retention="1d", nonce=layout.new_nonce(), n=0)
    served.blobs.put(other, [b"another's"], media_type="text/plain")
    past = LocalSigner(SECRET, str(served.bytes.base_url), now=lambda: time.time() - 3600)
    foreign = LocalSigner(b"another secret of 32 bytes......", str(served.bytes.base_url))
    names = {"file_name": "a.txt", "media_type": "text/plain"}
    refused = {
        "expired": httpx.get(past.sign_get(key, expires_in_s=60, **names).url),
        "of another secret": httpx.get(foreign.sign_get(key, expires_in_s=60, **names).url),
        "tampered signature": httpx.get(url[:-1] + ("0" if url[-1] != "0" else "1")),
        "tampered type": httpx.get(url.replace("text%2Fplain", "text%2Fhtml")),
        "prolonged": httpx.get(url.replace("expires=1", "expires=2")),
        "other key": httpx.get(url.replace(key, other)),
        "other method": httpx.put(url, content=b"x"),
        "unsigned": served.bytes.get("/" + key),
        "outside": served.bytes.get("/../../etc/passwd?" + urlsplit(url).query),
        "nothing": served.bytes.get("/"),
    }

    for name, answer in refused.items():
        assert answer.status_code == 403, name
        assert "<Code>AccessDenied</Code>" in answer.text, name
        assert b"another's" not in answer.content


def test_other_methods_are_not_known(url):
    assert httpx.request("DELETE", url).status_code == 405
    assert httpx.request("POST", url, content=b"x").status_code == 405


def test_a_blob_that_is_gone_is_not_found(served, key, url):
    served.blobs.delete([key])

    answer = httpx.get(url)

    assert answer.status_code == 404
    assert "<Code>NoSuchKey</Code>" in answer.text


def test_a_signed_put_stores_the_body_once(served, key):
    signed = signed_put(served, key, BODY)

    first = httpx.put(signed.url, headers=signed.headers, content=BODY)
    second = httpx.put(signed.url, headers=signed.headers, content=BODY)

    assert (first.status_code, second.status_code) == (200, 412)
    assert first.headers["etag"] == f'"{served.blobs.stat(key).etag}"'
    assert b"".join(served.blobs.get(key)) == BODY


def test_put_other_than_signed_stores_nothing(served, key):
    signed = signed_put(served, key, BODY)
    as_signed = dict(signed.headers)
    refused = {
        "longer": httpx.put(signed.url, headers=as_signed | {"content-length": "20000"}, content=BODY + bytes(9760)),
        "shorter": httpx.put(signed.url, headers=as_signed | {"content-length": "3"}, content=b"abc"),
        "other type": httpx.put(signed.url, headers=as_signed | {"content-type": "text/html"}, content=BODY),
        "unconditional": httpx.put(
            signed.url, headers={k: v for k, v in as_signed.items() if k != "if-none-match"}, content=BODY
        ),
    }

    for name, answer in refused.items():
        assert answer.status_code == 403, name
    with pytest.raises(BlobMissing):
        served.blobs.stat(key)


def test_a_body_without_a_length_is_refused(served, key):
    signed = signed_put(served, key, BODY)
    headers = {name: value for name, value in signed.headers.items() if name != "content-length"}

    answer = httpx.put(signed.url, headers=headers, content=iter([BODY]))

    assert answer.status_code == 411
    with pytest.raises(BlobMissing):
        served.blobs.stat(key)


def test_checksum_is_verified_before_blob_is_readable(served, key):
    digest = base64.b64encode(hashlib.sha256(BODY).digest()).decode()
    signed = signed_put(served, key, BODY, checksum_sha256=digest)

    wrong = httpx.put(signed.url, headers=signed.headers, content=BODY[::-1])

    assert wrong.status_code == 400
    assert "<Code>BadDigest</Code>" in wrong.text
    with pytest.raises(BlobMissing):
        served.blobs.stat(key)
    assert httpx.put(signed.url, headers=signed.headers, content=BODY).status_code == 200


def test_a_sender_that_goes_away_leaves_nothing(served, key):
    signed = signed_put(served, key, BODY)

    def half():
        yield BODY[:5000]
        raise ConnectionError("the sender is gone")

    with pytest.raises(ConnectionError):
        httpx.put(signed.url, headers=signed.headers, content=half())

    deadline = time.monotonic() + 5
    while any(served.blobs._root.rglob("*.draft*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert list(served.blobs.list("")) == []
    assert httpx.put(signed.url, headers=signed.headers, content=BODY).status_code == 200
