"""Content-Disposition: safe and exact for any file name."""

from email.message import Message

import pytest
from hypothesis import given, strategies as st

from resultstore.blobs.disposition import content_disposition, may_be_inline, safe_file_name

PDF = "application/pdf"
HARMLESS = ["image/png", "IMAGE/JPEG", "image/avif", "audio/flac", "video/mp4; codecs=avc1"]
RUNS = ["text/html", "image/svg+xml", "application/xhtml+xml", "text/plain", "video/x-flv", "", "image/*"]


def parsed(value):
    message = Message()
    message["Content-Disposition"] = value
    return message


def test_plain_name_appears_once_as_attachment():
    assert content_disposition("report.pdf", media_type=PDF, inline=False) == 'attachment; filename="report.pdf"'


def test_inline_is_said_only_when_asked_for():
    assert content_disposition("photo.jpg", media_type="image/jpeg", inline=True) == 'inline; filename="photo.jpg"'


def test_other_alphabets_get_fallback_and_exact_name():
    value = content_disposition("Prüfbericht 報告.pdf", media_type=PDF, inline=False)

    assert value == (
        "attachment; filename=\"Prufbericht __.pdf\"; filename*=UTF-8''Pr%C3%BCfbericht%20%E5%A0%B1%E5%91%8A.pdf"
    )
    assert parsed(value).get_filename() in {"Prufbericht __.pdf", "Prüfbericht 報告.pdf"}


@pytest.mark.parametrize(
    ("hostile", "tame"),
    [
        ("../../etc/passwd", "_.._etc_passwd"),
        ("..\\evil.exe", "_evil.exe"),
        ('a"; filename="b.exe', "a_; filename=_b.exe"),
        ("a\r\nSet-Cookie: x=1", "a__Set-Cookie_ x=1"),
        ("invoice\u202efdp.exe", "invoice_fdp.exe"),
        (".bashrc", "bashrc"),
        ("", "download"),
        ("..", "download"),
        ("///", "download"),
        ("\udc80.txt", "_.txt"),
    ],
)
def test_a_hostile_name_is_made_tame(hostile, tame):
    assert safe_file_name(hostile) == tame


def test_percent_sign_is_only_in_the_encoded_name():
    value = content_disposition("100%41.txt", media_type="text/plain", inline=False)

    assert value == "attachment; filename=\"100_41.txt\"; filename*=UTF-8''100%2541.txt"


def test_a_long_name_keeps_its_extension():
    name = safe_file_name("x" * 400 + ".parquet")

    assert len(name) == 150
    assert name.endswith("x.parquet")


@given(st.text(st.characters(codec=None)))
def test_no_name_escapes_its_quotes_or_line(name):
    value = content_disposition(name, media_type=PDF, inline=False)

    plain = value.removeprefix('attachment; filename="').partition('"')
    assert value.isascii()
    assert value.isprintable()
    assert "/" not in plain[0]
    assert plain[2] == "" or plain[2].startswith("; filename*=UTF-8''")


@pytest.mark.parametrize("media_type", RUNS)
def test_what_runs_is_never_inline_whoever_asks(media_type):
    assert content_disposition("x", media_type=media_type, inline=True).startswith("attachment; ")


def test_pdf_is_inline_only_where_it_is_allowed():
    assert not may_be_inline(PDF)
    assert may_be_inline(f"{PDF}; version=1.7", pdf=True)
    assert not any(may_be_inline(one, pdf=True) for one in RUNS)
