"""Covers: the first page of a PDF as viewers show it, checked by the colours of known places."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from resultstore_tasks.documents.task import draw_cover
from tests.tasks.videos.films import CORNERS, NEAR, off

# Where each corner of the page is shown once it is turned by so many degrees (ISO 32000-2, 7.7.3.3).
TURNS = {0: (0, 1, 2, 3), 90: (2, 0, 3, 1), 180: (3, 2, 1, 0), 270: (1, 3, 0, 2)}


def quarters(path: Path, width: float, height: float, *, turned: int = 0, crop: tuple[float, ...] = ()) -> Path:
    """Draw a page of four colours, one in each corner."""
    canvas = Canvas(str(path), pagesize=(width, height))
    for number, color in enumerate(CORNERS):
        canvas.setFillColorRGB(*(one / 255 for one in color))
        x, y = number % 2 * width / 2, (1 - number // 2) * height / 2
        canvas.rect(x, y, width / 2, height / 2, stroke=0, fill=1)
    if crop:
        canvas.setCropBox(crop)
    canvas.showPage()
    canvas.save()
    # The cross-reference table is then off by a few bytes, which every viewer repairs.
    path.write_bytes(path.read_bytes().replace(b"/Rotate 0 ", b"/Rotate %d " % turned))
    return path


def corners_of(picture: Path) -> list[tuple[int, ...]]:
    image = Image.open(picture).convert("RGB")
    width, height = image.size
    return [image.getpixel((x, y)) for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]


@pytest.mark.parametrize("turned", TURNS)
def test_a_turned_page_is_upright(tmp_path, turned):
    picture, cover = draw_cover(quarters(tmp_path / "document.pdf", 300, 200, turned=turned), width=300)

    assert (cover.width, cover.height) == ((300, 200) if turned in {0, 180} else (300, 450))
    assert off(corners_of(picture), [CORNERS[one] for one in TURNS[turned]]) <= NEAR


@pytest.mark.parametrize("turned", [0, 90])
def test_cover_of_very_long_page_shows_its_top(tmp_path, turned):
    size = (100, 900) if not turned else (900, 100)
    picture, cover = draw_cover(quarters(tmp_path / "document.pdf", *size, turned=turned), width=100)

    assert (cover.width, cover.height) == (100, 400)
    top = [CORNERS[one] for one in TURNS[turned][:2]]
    assert off(corners_of(picture), [*top, *top]) <= NEAR


def test_what_is_cropped_is_not_shown(tmp_path):
    picture, cover = draw_cover(quarters(tmp_path / "document.pdf", 300, 200, crop=(0, 0, 150, 100)), width=300)

    assert (cover.width, cover.height) == (300, 200)
    assert off(corners_of(picture), [CORNERS[2]] * 4) <= NEAR


def filled_form(path: Path) -> Path:
    canvas = Canvas(str(path), pagesize=(400, 300), pageCompression=0)
    size = {"x": 100, "y": 240, "width": 250, "height": 24}
    canvas.acroForm.textfield(name="n", value="MMMMMMMMMMMM", fontSize=14, borderWidth=0, **size)
    canvas.acroForm.checkbox(name="c", checked=True, x=100, y=100, size=40, borderWidth=0)
    canvas.showPage()
    canvas.save()
    return path


def darkness(picture: Path, box: tuple[int, int, int, int]) -> float:
    """Return the share of the box that is ink."""
    return float((np.asarray(Image.open(picture).convert("L").crop(box)) < 100).mean())


@pytest.mark.parametrize("drawn", [True, False], ids=["drawn", "values only"])
def test_what_was_filled_into_a_form_is_shown(tmp_path, drawn):
    path = filled_form(tmp_path / "document.pdf")
    if not drawn:  # like programs that fill in forms and leave the drawing to the viewer
        content = path.read_bytes()
        path.write_bytes(re.sub(rb"/AP ", b"/XX ", content))

    picture, _ = draw_cover(path, width=400)

    assert darkness(picture, (100, 36, 350, 60)) > 0.05
    assert darkness(picture, (0, 70, 400, 150)) == 0
    if drawn:
        assert darkness(picture, (100, 160, 140, 200)) > 0.05


def test_a_form_that_is_damaged_costs_no_cover(tmp_path):
    path = filled_form(tmp_path / "document.pdf")
    path.write_bytes(re.sub(rb"/Fields", b"/Fxelds", path.read_bytes()))

    assert draw_cover(path, width=400)[1].pages == 1
