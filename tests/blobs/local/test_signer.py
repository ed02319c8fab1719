"""LocalSigner: a URL is valid for one method on one key with its parameters and headers, until it expires."""

from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import given, settings, strategies as st

from resultstore.blobs.blobstore import Signer
from resultstore.blobs.local.signer import LocalSigner, SignedUrlClaims
from resultstore.model.errors import BadReference

KEY = "blobs/30d/ab/id-1/" + "0" * 32 + ".0"
NOW = 1_800_000_000.9


class Clock:
    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def signer(clock):
    return LocalSigner(b"s" * 32, "http://127.0.0.1:8081", clock)


def checked(signer, signed, *, method=None, url=None, headers=None):
    parts = urlsplit(url or signed.url)
    sent = signed.headers if headers is None else headers
    return signer.check(method or signed.method, parts.path, parts.query, sent)


def get_url(signer, **changes):
    return signer.sign_get(
        KEY, **({"expires_in_s": 60, "file_name": "a b.pdf", "media_type": "application/pdf"} | changes)
    )


def put_url(signer, **changes):
    asked = {"expires_in_s": 60, "size_bytes": 11, "media_type": "image/png", "checksum_sha256": "q" * 43 + "="}
    return signer.sign_put(KEY, **(asked | changes))


def part_url(signer, **changes):
    asked = {"expires_in_s": 60, "upload_id": "u" * 32, "number": 2, "size_bytes": 11}
    return signer.sign_part(KEY, **(asked | changes))


EVERY = [get_url, put_url, part_url]


def test_it_is_a_signer(signer):
    assert isinstance(signer, Signer)


def test_read_url_grants_key_type_and_name(signer):
    signed = get_url(signer)

    assert (signed.method, dict(signed.headers), signed.expires_at) == ("GET", {}, int(NOW) + 60)
    assert checked(signer, signed) == SignedUrlClaims(
        method="GET",
        key=KEY,
        expires_at=int(NOW) + 60,
        media_type="application/pdf",
        disposition='attachment; filename="a b.pdf"',
    )


def test_inline_is_granted_only_when_it_was_signed(signer):
    assert checked(signer, get_url(signer, media_type="image/png")).disposition == 'attachment; filename="a b.pdf"'
    shown = get_url(signer, media_type="image/png", inline=True)
    assert checked(signer, shown).disposition == 'inline; filename="a b.pdf"'
    page = get_url(signer, media_type="text/html", inline=True)
    assert checked(signer, page).disposition == 'attachment; filename="a b.pdf"'


def test_write_url_grants_length_type_and_checksum(signer):
    signed = put_url(signer)

    assert signed.headers == {
        "content-length": "11",
        "content-type": "image/png",
        "if-none-match": "*",
        "x-amz-checksum-sha256": "q" * 43 + "=",
    }
    assert checked(signer, signed) == SignedUrlClaims(
        method="PUT",
        key=KEY,
        expires_at=int(NOW) + 60,
        media_type="image/png",
        size_bytes=11,
        checksum_sha256="q" * 43 + "=",
    )


def test_header_names_have_any_case_beside_others(signer):
    signed = put_url(signer)
    sent = {name.title(): value for name, value in signed.headers.items()} | {"Host": "x", "User-Agent": "y"}

    assert checked(signer, signed, headers=sent).key == KEY


@pytest.mark.parametrize("name", ["content-length", "content-type", "if-none-match", "x-amz-checksum-sha256"])
@pytest.mark.parametrize("value", [None, "", "12", "image/svg+xml"])
def test_missing_or_changed_signed_header_is_refused(signer, name, value):
    signed = put_url(signer)
    sent = dict(signed.headers) | {name: value}
    sent = {key: value for key, value in sent.items() if value is not None}

    with pytest.raises(BadReference):
        checked(signer, signed, headers=sent)


@pytest.mark.parametrize("name", ["x-amz-checksum-sha256", "X-Amz-Tagging", "x-amz-meta-owner"])
@pytest.mark.parametrize("sign", [get_url, lambda signer: put_url(signer, checksum_sha256=None), part_url])
def test_unsigned_store_header_is_refused(signer, sign, name):
    signed = sign(signer)

    with pytest.raises(BadReference, match="(?i)" + name):
        checked(signer, signed, headers=dict(signed.headers) | {name: "x"})


@pytest.mark.parametrize("sign", EVERY)
def test_url_works_until_it_expires(signer, clock, sign):
    signed = sign(signer)

    clock.now = signed.expires_at - 0.01
    assert checked(signer, signed).key == KEY
    clock.now = signed.expires_at
    with pytest.raises(BadReference, match="expired"):
        checked(signer, signed)


@pytest.mark.parametrize("sign", EVERY)
def test_another_method_is_refused(signer, sign):
    signed = sign(signer)

    for method in {"GET", "PUT", "HEAD", "DELETE", "POST", "get", "put"} - {signed.method}:
        with pytest.raises(BadReference):
            checked(signer, signed, method=method)


@pytest.mark.parametrize(
    "path",
    [
        KEY.replace("id-1", "id-2"),
        KEY + "0",
        KEY[:-1],
        "",
        "../" + KEY,
        KEY + "/",
        KEY.replace("/", "%2F"),
        "layout.json",
    ],
)
@pytest.mark.parametrize("sign", EVERY)
def test_another_key_is_refused(signer, path, sign):
    signed = sign(signer)

    with pytest.raises(BadReference):
        checked(signer, signed, url=signed.url.replace(KEY, path))


@pytest.mark.parametrize("added", [("x", "1"), ("type", "text/html"), ("headers", ""), ("expires", "9" * 10), ("", "")])
@pytest.mark.parametrize("place", [0, 1, 99])
@pytest.mark.parametrize("sign", EVERY)
def test_an_added_parameter_is_refused(signer, added, place, sign):
    signed = sign(signer)
    base, _, query = signed.url.partition("?")
    pairs = parse_qsl(query)
    pairs.insert(place, added)

    with pytest.raises(BadReference):
        checked(signer, signed, url=f"{base}?{urlencode(pairs)}")


@pytest.mark.parametrize("name", ["expires", "type", "disposition", "signature"])
@pytest.mark.parametrize("value", [None, "", "9999999999", "text/html", "inline"])
def test_a_changed_or_missing_parameter_is_refused(signer, name, value):
    signed = get_url(signer)
    base, _, query = signed.url.partition("?")
    pairs = [(key, value if key == name else old) for key, old in parse_qsl(query)]

    with pytest.raises(BadReference):
        checked(signer, signed, url=f"{base}?{urlencode([pair for pair in pairs if pair[1] is not None])}")


def test_checksum_cannot_be_removed_from_a_url(signer):
    signed = put_url(signer)
    url = signed.url.replace("%3Bx-amz-checksum-sha256", "")
    assert url != signed.url
    sent = {name: value for name, value in signed.headers.items() if "checksum" not in name}

    with pytest.raises(BadReference):
        checked(signer, signed, url=url, headers=sent)


def test_another_secret_signs_other_urls(signer, clock):
    other = LocalSigner(b"t" * 32, "http://127.0.0.1:8081", clock)

    with pytest.raises(BadReference):
        checked(signer, get_url(other))


@pytest.mark.parametrize(
    "query", ["", "&", "signature=", "signature=é", "%ff=%00&signature=%ff", "a" * 100_000, "=&=&="]
)
def test_a_senseless_query_is_refused(signer, query):
    with pytest.raises(BadReference):
        signer.check("GET", "/" + KEY, query, {})


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_no_changed_character_passes_for_another_grant(data):
    signer = LocalSigner(b"s" * 32, "http://127.0.0.1:8081", Clock())
    signed = get_url(signer)
    start = len("http://127.0.0.1:8081/")
    position = data.draw(st.integers(start, len(signed.url) - 1))
    char = data.draw(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#?"))
    url = signed.url[:position] + char + signed.url[position + 1 :]

    try:
        grant = checked(signer, signed, url=url)
    except BadReference:
        return

    assert grant == checked(signer, signed)  # the same text in another spelling, such as + and %20


@pytest.mark.parametrize("base_url", ["https://host/bytes", "https://host/bytes/", "https://host"])
def test_path_before_the_key_is_the_listeners(clock, base_url):
    signer = LocalSigner(b"s" * 32, base_url, clock)
    signed = get_url(signer)

    assert signed.url.startswith(base_url.rstrip("/") + "/" + KEY)
    assert checked(signer, signed).key == KEY
    assert signer.check("GET", "/" + KEY, urlsplit(signed.url).query, {}).key == KEY  # a proxy took the prefix off


@pytest.mark.parametrize("name", ["Prüfbericht 報告.pdf", "😀" * 200 + ".png", '"\r\n;=&+%'])
def test_any_file_name_survives_the_url(signer, name):
    signed = get_url(signer, file_name=name)

    assert signed.url.isascii()
    assert checked(signer, signed).disposition.startswith("attachment; filename=")


@pytest.mark.parametrize("expires_in_s", [0, -1, 604_801])
@pytest.mark.parametrize("sign", EVERY)
def test_no_url_lives_zero_seconds_or_forever(signer, expires_in_s, sign):
    with pytest.raises(BadReference, match="RESULTSTORE_URL_EXPIRES_S"):
        sign(signer, expires_in_s=expires_in_s)


@pytest.mark.parametrize("key", ["../x", ".secret", "/a", "a b"])
def test_no_url_is_signed_without_a_key(signer, key):
    with pytest.raises(BadReference):
        signer.sign_get(key, expires_in_s=60, file_name="x", media_type="x/y")


def test_errors_show_neither_secret_nor_signature(signer, clock):
    signed = get_url(signer)
    signature = signed.url.rpartition("=")[2]
    clock.now += 61

    with pytest.raises(BadReference) as expired:
        checked(signer, signed)
    with pytest.raises(BadReference) as tampered:
        checked(signer, signed, method="PUT")

    for error in (expired, tampered):
        assert signature not in str(error.value)
        assert "ssss" not in str(error.value)
