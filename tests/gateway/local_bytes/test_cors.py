"""CORS: only the gateway's own page may read and write bytes from its origin."""

import httpx
import pytest

from resultstore.gateway.middleware.host_guard import page_origins
from resultstore.model import layout
from resultstore.settings import Settings

BODY = b"0123456789"


@pytest.fixture
def signed(served):
    key = layout.upload_key("job", retention="1d", nonce=layout.new_nonce())
    return served.signer.sign_put(key, expires_in_s=60, size_bytes=len(BODY), media_type="image/png")


def preflight(url: str, origin: str, headers: str = "content-type,if-none-match,x-amz-checksum-sha256"):
    asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": headers}
    return httpx.options(url, headers={"Origin": origin, **asked})


def test_page_may_upload_and_read_the_etag(served, signed):
    page = str(served.gateway.base_url).rstrip("/")

    asked = preflight(signed.url, page)
    put = httpx.put(signed.url, content=BODY, headers={**signed.headers, "Origin": page})

    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == page
    assert "PUT" in asked.headers["access-control-allow-methods"]
    assert put.status_code == 200
    assert put.headers["access-control-allow-origin"] == page
    assert "etag" in put.headers["access-control-expose-headers"].lower()
    assert "access-control-allow-credentials" not in put.headers


def test_another_page_is_not_let_in(signed):
    asked = preflight(signed.url, "https://evil.example")
    refused = httpx.get(signed.url, headers={"Origin": "https://evil.example"})

    assert asked.status_code == 400
    assert "access-control-allow-origin" not in asked.headers
    assert "access-control-allow-origin" not in refused.headers


def test_page_can_read_a_refusal(served, signed):
    page = str(served.gateway.base_url).rstrip("/")

    refused = httpx.put(signed.url + "x", content=BODY, headers={**signed.headers, "Origin": page})

    assert refused.status_code == 403
    assert refused.headers["access-control-allow-origin"] == page


def test_page_origins_are_public_url_and_loopback():
    origins = page_origins(Settings(gateway_url="https://Results.example/app/", gateway_port=8080))

    assert origins == {
        "https://results.example",
        "http://127.0.0.1:8080",
        "http://localhost:8080",
        "http://[::1]:8080",
    }
