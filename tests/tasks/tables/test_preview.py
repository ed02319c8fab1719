"""Previews of PDFs, videos and tables; hostile files are refused."""

import io
import subprocess
from pathlib import Path

import pytest
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from resultstore import BadInput
from resultstore_tasks.csv_reader.reader import Table
from resultstore_tasks.documents.task import draw_cover
from resultstore_tasks.tables.convert import CAPS
from resultstore_tasks.tables.preview import draw, head_of
from resultstore_tasks.videos import ffmpeg, ffprobe
from resultstore_tasks.videos.ffprobe import probe

FFMPEG = ["ffmpeg", "-v", "error", "-y"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """Return three seconds of a moving test picture with a tone: 320 x 240, H.264 and AAC."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    sources = ["-f", "lavfi", "-i", "testsrc=size=320x240:rate=25:duration=3", "-f", "lavfi", "-i", "sine=duration=3"]
    subprocess.run([*FFMPEG, *sources, "-pix_fmt", "yuv420p", "-metadata", "location=here", str(path)], check=True)
    return path


@pytest.fixture
def video(clip, tmp_path) -> Path:
    """Return the path of the clip in a folder of its own."""
    path = tmp_path / "video"
    path.write_bytes(clip.read_bytes())
    return path


def pdf(path: Path, pages: int = 3, **options) -> Path:
    canvas = Canvas(str(path), pagesize=(300, 400), **options)
    for _ in range(pages):
        canvas.drawString(50, 300, "a page")
        canvas.showPage()
    canvas.save()
    return path


def test_pdf_gets_a_cover_and_page_count(tmp_path):
    picture, cover = draw_cover(pdf(tmp_path / "document.pdf"), width=600)

    image = Image.open(picture)
    assert (image.format, image.size) == ("JPEG", (600, 800))
    assert (cover.pages, cover.width, cover.height) == (3, 600, 800)


def test_a_page_of_a_mile_is_cut(tmp_path):
    path = tmp_path / "document.pdf"
    canvas = Canvas(str(path), pagesize=(10, 14_000))
    canvas.showPage()
    canvas.save()

    assert draw_cover(path, width=100)[1].height <= 401


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"%PDF-1.7\n nothing of a PDF follows", "no PDF, or damaged"),
        (b"", "no PDF, or damaged"),
        (b"\x89PNG\r\n", "no PDF, or damaged"),
    ],
)
def test_what_is_no_pdf_is_refused(tmp_path, content, reason):
    path = tmp_path / "document.pdf"
    path.write_bytes(content)

    with pytest.raises(BadInput, match=reason):
        draw_cover(path, width=600)


def test_encrypted_and_truncated_pdfs_are_refused(tmp_path):
    secret = pdf(tmp_path / "secret.pdf", encrypt="a password")
    whole = pdf(tmp_path / "whole.pdf").read_bytes()
    cut = tmp_path / "cut.pdf"
    cut.write_bytes(whole[:200])

    with pytest.raises(BadInput, match="encrypted"):
        draw_cover(secret, width=600)
    with pytest.raises(BadInput, match="damaged"):
        draw_cover(cut, width=600)


def test_pdf_of_too_many_pages_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("resultstore_tasks.documents.task.MAX_PAGES", 2)

    with pytest.raises(BadInput, match="3 pages; the cap is 2"):
        draw_cover(pdf(tmp_path / "document.pdf"), width=600)


def test_video_gets_poster_preview_and_progress(video):
    told: list[float] = []

    seen = probe(video)
    poster = ffmpeg.poster(video, seen, width=640)
    preview = ffmpeg.preview(video, seen, seconds=2, width=160, format="mp4", report=told.append)

    assert (seen.width, seen.height, round(seen.duration_s), seen.codec) == (320, 240, 3, "h264")
    assert Image.open(poster).size == (320, 240)
    made = probe(preview)
    assert (made.width, made.height, round(made.duration_s)) == (160, 120, 2)
    assert told
    assert max(told) <= 2
    assert b"location" not in preview.read_bytes()


def test_a_preview_can_be_webm(video):
    preview = ffmpeg.preview(video, probe(video), seconds=1, width=160, format="webm", report=lambda _: None)

    assert probe(preview).codec == "vp8"


def test_playlist_named_as_video_opens_nothing(tmp_path, clip):
    other = tmp_path / "secret.mp4"
    other.write_bytes(clip.read_bytes())
    for name, content in (
        ("hls", f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{other}\n#EXT-X-ENDLIST\n"),
        ("concat", f"ffconcat version 1.0\nfile {other.name}\n"),
    ):
        path = tmp_path / name / "video"
        path.parent.mkdir()
        path.write_text(content)

        with pytest.raises(BadInput):
            probe(path)


def test_truncated_or_absurd_video_is_refused(tmp_path, clip, monkeypatch):
    cut = tmp_path / "video"
    cut.write_bytes(clip.read_bytes()[:2000])
    with pytest.raises(BadInput):
        probe(cut)

    monkeypatch.setattr(ffprobe, "MAX_DURATION_S", 2)
    with pytest.raises(BadInput, match="3 seconds"):
        probe(clip)


def test_table_head_is_returned_and_drawn(tmp_path, wine):
    head = head_of(Table(io.BytesIO(wine), caps=CAPS))
    draw(head, tmp_path / "head.pdf")
    picture, cover = draw_cover(tmp_path / "head.pdf", width=960)

    assert len(head.columns) == 14
    assert len(head.rows) == 20
    assert head.rows[0][-1] == "class_0"
    assert Image.open(picture).size == (cover.width, cover.height)


def test_hostile_cells_are_only_text(tmp_path):
    csv = 'a,"<script>alert(1)</script>"\n' + "=cmd|' /C calc'!A0," + "x" * 5000 + "\n,\u202eabc\n"

    head = head_of(Table(io.BytesIO(csv.encode()), caps=CAPS))
    draw(head, tmp_path / "head.pdf")

    assert head.rows[0] == ["=cmd|' /C calc'!A0", "x" * 200]
    assert draw_cover(tmp_path / "head.pdf", width=960)[1].pages == 1
