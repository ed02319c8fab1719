"""Multipart uploads to the bytes listener, by one signed URL per part."""

import httpx
import pytest

from resultstore.model import layout

BODY = bytes(range(256)) * 4000


@pytest.fixture
def key():
    return layout.upload_key("job", retention="1d", nonce=layout.new_nonce())


@pytest.fixture
def upload_id(served, key):
    return served.blobs.begin_parts(key, media_type="video/mp4")


def signed_part(served, key, upload_id, number, size_bytes):
    return served.signer.sign_part(key, expires_in_s=60, upload_id=upload_id, number=number, size_bytes=size_bytes)


def test_signed_urls_upload_parts_and_list_missing_ones(served, key, upload_id):
    half = len(BODY) // 2
    for number, body in ((2, BODY[half:]), (1, BODY[:half])):
        url = signed_part(served, key, upload_id, number, len(body)).url
        answer = httpx.put(url, content=body)
        assert answer.status_code == 200
        tags = {part.number: part.etag for part in served.blobs.parts(key, upload_id=upload_id)}
        assert answer.headers["etag"] == f'"{tags[number]}"'

    served.blobs.complete_parts(key, upload_id=upload_id, parts=served.blobs.parts(key, upload_id=upload_id))
    assert b"".join(served.blobs.get(key)) == BODY


@pytest.mark.parametrize("change", [("part=1", "part=2"), ("part=1", "part=01"), ("upload=", "upload=0")])
def test_part_url_is_valid_for_its_part_only(served, key, upload_id, change):
    url = signed_part(served, key, upload_id, 1, 3).url

    assert httpx.put(url.replace(*change), content=b"abc").status_code == 403
    assert served.blobs.parts(key, upload_id=upload_id) == ()


def test_a_part_has_the_signed_length(served, key, upload_id):
    url = signed_part(served, key, upload_id, 1, 3).url

    assert httpx.put(url, content=b"abcd").status_code == 403
    assert served.blobs.parts(key, upload_id=upload_id) == ()


def test_part_of_an_ended_upload_is_refused(served, key, upload_id):
    url = signed_part(served, key, upload_id, 1, 3).url
    served.blobs.abort_parts(key, upload_id=upload_id)

    assert httpx.put(url, content=b"abc").status_code == 404
