"""Sniff: the first bytes say what a file is, whatever its name and its sender say."""

import io
import json
import zipfile

import pytest

from resultstore.uploads.sniff import Sniffer, agrees, canonical


def zipped(*names: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, "<x/>")
    return content.getvalue()


def safetensors() -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(4)


KINDS = {
    "image/jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF\0",
    "image/png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0",
    "image/gif": b"GIF89a\1\0\1\0",
    "image/webp": b"RIFF\x24\0\0\0WEBPVP8 ",
    "image/avif": b"\0\0\0\x20ftypavif\0\0\0\0avifmif1miafMA1B",
    "image/svg+xml": b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>',
    "application/pdf": b"%PDF-1.7\n",
    "video/mp4": b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(32),
    "video/webm": b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84webmB\x87\x81\x04",
    "text/html": b"<!doctype html><html><script>alert(1)</script>",
    "application/postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "application/vnd.apache.parquet": b"PAR1\x15\x04" + bytes(30),
    "application/vnd.safetensors": safetensors(),
    "application/onnx": b"\x08\x08\x12\x07pytorch\x1a\x031.9:",
    "application/zip": zipped("a.txt", "b.txt"),
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": zipped(
        "[Content_Types].xml", "word/document.xml"
    ),
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": zipped("[Content_Types].xml", "xl/a.xml"),
}


@pytest.fixture(scope="module")
def sniffer() -> Sniffer:
    return Sniffer()


@pytest.mark.parametrize("media_type", KINDS)
def test_the_first_bytes_tell_the_type(sniffer, media_type):
    assert sniffer.sniff(KINDS[media_type]) == media_type


@pytest.mark.parametrize(
    ("head", "is_table"),
    [
        (b"a,b,c\n1,2,3\n", True),
        (b"name;size\nx;1\n", True),
        (b"one column\nof words\n", True),
        (b"a,b\n<script>alert(1)</script>,1\n", False),
        (b"<html><body>a,b</body></html>", False),
        (KINDS["image/svg+xml"], False),
        (b'{"a": 1}', True),
        ("n\n1,é\n".encode("latin-1"), True),
        ("a,b\n1,2\n".encode("utf-16"), True),
        (b"<?xml version='1.0'?><a/>", False),
        (b"a,b\n1,2\n<IFRAME src=x>\n", False),
        (b"\x80\x04\x95\x10\x00", False),
        (b"PK\x03\x04", False),
        (b"", False),
    ],
)
def test_a_table_is_plain_text_and_never_markup(sniffer, head, is_table):
    assert agrees(declared="text/csv", shown=sniffer.sniff(head)) == is_table


TEXTS = {
    "snippets": 'id,code\n1,"import os\ndef f(x):\n    return x"\n',
    "letters": "From: ,To: ,Subject: \na@example.org,b@example.org,hi\n",
    "dates": "Date: x,y\n1,2\n",
    "JSON in a cell": '{"a": 1},x\n',
    "the end of a DOS file": "a,b\r\n1,2\r\n\x1a",
    "one byte": "1",
    "Python": "import os\n\ndef f():\n    pass\n",
    "shell": "#!/bin/sh\necho\n",
    "C": "#include <stdio.h>\nint main(void) { return 0; }\n",
    "a patch": "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n",
    "PostScript": "%!PS-Adobe-3.0\n",
    "a playlist": "#EXTM3U\n#EXTINF:1,\na.mp3\n",
    "an INI file": "[a]\nb=c\n",
    "subtitles": "1\n00:00:00,000 --> 00:00:01,000\nhello\n",
    "long JSON": '[{"a": 1}' + ', {"a": 1}' * 1000,
}


@pytest.mark.parametrize("declared", ["text/csv", "text/tab-separated-values", "text/plain", "text/markdown"])
@pytest.mark.parametrize("text", TEXTS)
def test_text_is_text_whatever_its_words_are(sniffer, declared, text):
    assert agrees(declared=declared, shown=sniffer.sniff(TEXTS[text].encode()[:4096]))


@pytest.mark.parametrize("declared", ["image/png", "video/mp4", "application/pdf", "text/html", "image/svg+xml"])
def test_text_is_nothing_else_than_text(sniffer, declared):
    assert [name for name, text in TEXTS.items() if agrees(declared=declared, shown=sniffer.sniff(text.encode()))] == []


def test_json_cut_at_the_head_is_json(sniffer):
    assert agrees(declared="application/json", shown=sniffer.sniff(TEXTS["long JSON"].encode()[:4096]))


@pytest.mark.parametrize("media_type", [one for one in KINDS if one != "application/postscript"])
def test_other_kinds_are_no_text(sniffer, media_type):
    assert not agrees(declared="text/plain", shown=sniffer.sniff(KINDS[media_type]))


def test_a_pickle_is_nothing_that_any_offer_takes(sniffer):
    assert sniffer.sniff(b"\x80\x04\x95\x10\0\0\0\0\0\0\0") == "application/octet-stream"


def test_a_playlist_is_no_video(sniffer):
    for head in (b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n", b"ffconcat version 1.0\nfile a\n"):
        assert not agrees(declared="video/mp4", shown=sniffer.sniff(head))


def iso(*brands: bytes) -> bytes:
    """The head of an ISO base media file: its major brand, then those that it is compatible with."""
    first, *others = brands
    return (16 + 4 * len(others)).to_bytes(4, "big") + b"ftyp" + first + bytes(4) + b"".join(others) + bytes(64)


BRANDS = {
    "video/mp4": [iso(b"isom", b"mp41"), iso(b"mp42"), iso(b"M4V "), iso(b"MSNV"), iso(b"XAVC"), iso(b"abcd", b"iso2")],
    "video/quicktime": [
        iso(b"qt  "),
        b"\0\0\0\x08wide\0\0\1\0mdat" + bytes(64),
        b"\0\0\0\x0cfree\0\0\0\0\0\0\1\0moov" + bytes(64),
    ],
    "video/3gpp": [iso(b"3gp4"), iso(b"3gp6", b"isom"), iso(b"3ge7")],
    "video/3gpp2": [iso(b"3g2a", b"isom")],
    "audio/mp4": [iso(b"M4A ", b"isom")],
    "image/avif": [iso(b"avif"), iso(b"avis"), iso(b"mif1", b"avif"), iso(b"msf1", b"mif1", b"avif")],
    "image/heic": [iso(b"heic"), iso(b"mif1", b"heic"), iso(b"msf1", b"hevc")],
    "image/heif": [iso(b"mif1"), iso(b"mif1", b"jpeg")],
    "image/jp2": [iso(b"jp2 ")],
}


@pytest.mark.parametrize("media_type", BRANDS)
def test_every_brand_of_a_container_is_known(sniffer, media_type):
    assert {sniffer.sniff(head) for head in BRANDS[media_type]} == {media_type}


def test_text_that_says_free_is_text(sniffer):
    assert sniffer.sniff(b"1234free as a bird\n") == "text/plain"


def test_brands_beyond_their_box_do_not_count(sniffer):
    head = iso(b"mif1") + b"avif"

    assert sniffer.sniff(head) == "image/heif"


@pytest.mark.parametrize(
    ("declared", "shown", "same"),
    [
        ("video/mp4", "video/3gpp", True),
        ("video/quicktime", "video/mp4", True),
        ("video/mp4", "video/quicktime", True),
        ("audio/mp4", "video/mp4", True),
        ("video/x-matroska", "video/webm", True),
        ("video/webm", "video/mp4", False),
        ("video/mp4", "image/avif", False),
        ("image/avif", "image/heic", False),
        ("image/jpeg", "video/mp4", False),
    ],
)
def test_containers_of_one_family_agree(declared, shown, same):
    assert agrees(declared=declared, shown=shown) == same


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ("Image/JPG", "image/jpeg"),
        ("text/csv; charset=utf-8", "text/csv"),
        (" video/x-m4v ", "video/mp4"),
        ("application/x-made-up", "application/x-made-up"),
    ],
)
def test_a_type_has_one_name(said, means):
    assert canonical(said) == means
