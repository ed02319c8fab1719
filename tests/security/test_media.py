"""Media: disguised files and decompression bombs, through an upload and a real worker."""

import io

import httpx
import pytest
from PIL import Image

from tests.security import hostile
from tests.security.hostile import MIB

JPEG, PNG, GIF, PDF, MP4, CSV = "image/jpeg", "image/png", "image/gif", "application/pdf", "video/mp4", "text/csv"
TASKS = {
    JPEG: "images.resize",
    PNG: "images.resize",
    GIF: "images.resize",
    PDF: "pdf.cover",
    MP4: "video.preview",
    CSV: "tables.preview",
}

REFUSED = {
    "HTML as .jpg": (b"<html><script>alert(1)</script></html>", JPEG),
    "SVG with a script as .jpg": (hostile.svg("<script>alert(1)</script>"), JPEG),
    "SVG with a file reference as .png": (hostile.svg('<image href="file:///etc/passwd"/>'), PNG),
    "SVG with an external entity": (
        hostile.svg("&x;", head='<!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]>'),
        PNG,
    ),
    "SVG of a billion laughs": (hostile.laughs(), PNG),
    "SVG of 100,000 pixels": (hostile.svg(side=100_000), PNG),
    "PNG of 30,000 pixels square": (hostile.wide_png(30_000), PNG),
    "PNG of 60,000 pixels square": (hostile.wide_png(60_000), PNG),
    "JPEG whose header lies": (hostile.lying_jpeg(), JPEG),
    "truncated JPEG": (hostile.jpeg(640, 480)[:1_500], JPEG),
    "truncated MP4": (hostile.mp4()[:40], MP4),
    "truncated PDF": (hostile.curious_pdf()[:120], PDF),
    "absurd MP4": (hostile.mp4(), MP4),
    "HLS playlist as .mp4": (hostile.PLAYLIST, MP4),
    "ffconcat as .mp4": (hostile.CONCAT, MP4),
    "HLS playlist after an MP4 head": (hostile.mp4()[:24] + hostile.PLAYLIST, MP4),
    "encrypted PDF": (hostile.locked_pdf(), PDF),
    "zip bomb as a table": (hostile.zip_bomb(), CSV),
    "pickle as a table": (
        b"\x80\x04\x95\x1f\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94.",
        CSV,
    ),
    "PyTorch archive as a picture": (hostile.zip_bomb("archive/data.pkl"), PNG),
    "JPEG as a document": (hostile.jpeg(), PDF),
    **{f"{kind} as .png": (body, PNG) for kind, body in hostile.STRANGE.items()},
}


@pytest.mark.parametrize("name", REFUSED)
def test_disguised_file_is_rejected_and_deleted(target, attack, name):
    body, media_type = REFUSED[name]
    with attack(name, max_s=30) as seen:
        before = kept(target)
        answer = target.uploaded(body, name="file", media_type=media_type, task=TASKS[media_type])
        if answer.is_success:
            assert target.outcome(answer).state == "FAILURE"
        else:
            assert 400 <= answer.status_code < 500, answer.text
        assert kept(target) <= before
        seen.refused()


def kept(target) -> set[str]:
    return {one.key for one in target.place.store.blobs.list("uploads/")}


def test_huge_page_is_rendered_small_or_rejected(target, attack):
    with attack("PDF with a page as large as a town", max_s=30) as seen:
        outcome = target.outcome(target.uploaded(hostile.huge_pdf(), name="a.pdf", media_type=PDF, task="pdf.cover"))
        assert all(one.size_bytes < MIB for one in outcome.artifacts)
        seen.harmless()


def test_compressed_200_mib_comment_stays_out_of_memory(target, attack):
    with attack("PNG with a comment of 200 MiB", max_s=30) as seen:
        answer = target.uploaded(hostile.text_bomb(200), name="a.png", media_type=PNG, task="images.resize")
        outcome = target.outcome(answer) if answer.is_success else None
        if outcome is None or outcome.state == "FAILURE":
            seen.refused()
        else:
            seen.harmless()


def test_ten_thousand_frames_become_one_picture_or_none(target, attack):
    with attack("GIF of 10,000 frames", max_s=30) as seen:
        answer = target.uploaded(hostile.gif(10_000), name="a.gif", media_type=GIF, task="images.resize")
        outcome = target.outcome(answer) if answer.is_success else None
        if outcome is None or outcome.state == "FAILURE":
            seen.refused()
        else:
            assert all(one.size_bytes < MIB for one in outcome.artifacts)
            seen.harmless()


def test_active_document_is_only_rendered(target, attack):
    with attack("PDF with actions", max_s=30) as seen:
        outcome = target.outcome(target.uploaded(hostile.curious_pdf(), name="a.pdf", media_type=PDF, task="pdf.cover"))
        assert outcome.state == "SUCCESS", outcome.failure
        seen.harmless()


def test_a_document_packed_twice_ends_within_its_bounds(target, attack):
    with attack("PDF bomb", max_s=60, max_rss_mib=2_200) as seen:
        outcome = target.outcome(target.uploaded(hostile.pdf_bomb(), name="a.pdf", media_type=PDF, task="pdf.cover"))
        if outcome.state == "FAILURE":
            seen.refused()
        else:
            seen.harmless()


def test_previews_contain_no_location(target, attack):
    with attack("GPS and markup in a photo", max_s=30) as seen:
        made = target.uploaded(
            hostile.located_jpeg(), name="a.jpg", media_type=JPEG, task="images.resize", options={"format": "jpeg"}
        )
        outcome = target.outcome(made)
        assert outcome.state == "SUCCESS", outcome.failure
        for one in target.ann.get(f"/v1/results/{outcome.id}").json()["artifacts"]:
            body = target.ann.get(one["link"], follow_redirects=True).content
            assert b"<script>" not in body
            assert dict(Image.open(io.BytesIO(body)).getexif()) == {}
        seen.harmless()


def test_polyglot_picture_is_never_served_as_html(target, attack):
    with attack("polyglot of JPEG and HTML", max_s=30) as seen:
        body = hostile.jpeg() + b"<html><script>alert(1)</script></html>"
        outcome = target.outcome(target.uploaded(body, name="a.html", media_type=JPEG, task="images.resize"))
        assert outcome.state == "SUCCESS"
        for one in target.ann.get(f"/v1/results/{outcome.id}").json()["artifacts"]:
            got = target.ann.get(one["link"], follow_redirects=True)
            assert got.headers["content-type"].startswith("image/")
            assert got.headers["x-content-type-options"] == "nosniff"
            assert b"<script>" not in got.content
        seen.harmless()


def test_a_table_of_formulas_stays_text(target, attack):
    with attack("CSV formulas", max_s=30) as seen:
        body = b"name,value\n\"=cmd|' /C calc'!A1\",1\n@SUM(1+1),2\n+1+1,3\n"
        outcome = target.outcome(target.uploaded(body, name="a.csv", media_type=CSV, task="tables.preview"))
        assert outcome.state == "SUCCESS", outcome.failure
        assert not [one for one in outcome.artifacts if one.media_type == "text/csv" and one.name != "input"]
        seen.harmless()


def test_worker_blocks_untrusted_libvips_loaders(target, attack):
    with attack("untrusted loaders", max_s=30) as seen:
        body = hostile.jpeg()
        assert (
            target.outcome(target.uploaded(body, name="a.jpg", media_type=JPEG, task="images.resize")).state
            == "SUCCESS"
        )
        from resultstore_tasks.images import vips  # noqa: PLC0415 - libvips must not be loaded before a fork

        assert vips is not None
        seen.harmless()


def test_after_all_of_this_the_worker_works(target):
    assert httpx.get(f"{target.place.gateway.base_url}/livez").is_success
    made = target.uploaded(hostile.jpeg(), name="a.jpg", media_type=JPEG, task="images.resize")
    assert target.outcome(made).state == "SUCCESS"
