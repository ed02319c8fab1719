"""Sheet: the pages of a report, with its grid, fonts and colours."""

import unicodedata
from collections.abc import Iterable
from importlib.resources import as_file, files
from typing import Literal

from reportlab.lib.colors import Color, HexColor
from reportlab.lib.pagesizes import A4
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from resultstore_tasks.contracts import Sink

WIDTH: float
HEIGHT: float
WIDTH, HEIGHT = A4
LEFT: float = 48.0
RIGHT: float = WIDTH - 48.0
TOP: float = HEIGHT - 56.0
BOTTOM = 62.0
MEASURE = RIGHT - LEFT

INK = HexColor("#16202A")
GREY = HexColor("#6A7580")
FAINT = HexColor("#A9B2BA")
HAIR = HexColor("#DDE2E6")
ZEBRA = HexColor("#F5F7F8")
PAPER = HexColor("#FFFFFF")
ACCENT = HexColor("#0F6B66")
TINT = HexColor("#D3E6E3")

# Source Sans (Adobe, SIL OFL 1.1): Latin, Greek and Cyrillic. All its digits have the same width, so numbers align.
LIGHT, BODY, STRONG = "SourceSans-Light", "SourceSans", "SourceSans-Semibold"
_FACES = {LIGHT: "Light", BODY: "Regular", STRONG: "Semibold"}

Align = Literal["left", "right", "centre"]


class Sheet:
    """Draws page after page. Text is drawn literally: it has no markup.

    Args:
        out: receives the PDF when `finish` is called; it is only written to.
        title: title of the document, for the viewer's window and the footer of each page.
        pages: number of pages that will be drawn.

    Coordinates are points from the lower left corner (ISO 32000).
    """

    def __init__(self, out: Sink, *, title: str, pages: int) -> None:
        register_faces()
        # Invariant: the same table gives the same bytes, so that a task that runs twice gives the same report.
        self.canvas = Canvas(out, pagesize=A4, invariant=1, lang="en", pageCompression=1)
        self.canvas.setTitle(printable(title))
        self.canvas.setCreator("resultstore")
        self._title = printable(title)
        self._pages = pages
        self.number = 0

    def begin(self, section: str, *, mark: str | None = None) -> None:
        """Start a page with its header and footer, and a bookmark `mark` if a section begins."""
        self.number += 1
        if mark is not None:
            self.canvas.bookmarkPage(mark)
            self.canvas.addOutlineEntry(section, mark, level=0)
        if self.number > 1:
            self.text(LEFT, TOP + 14, section.upper(), face=STRONG, size=6.8, colour=ACCENT, spacing=1.1)
            self._foot()

    def end(self) -> None:
        """Close the page."""
        self.canvas.showPage()

    def finish(self) -> None:
        """Write the document."""
        self.canvas.save()

    def text(
        self,
        x: float,
        y: float,
        line: str,
        *,
        face: str = BODY,
        size: float = 9.0,
        colour: Color = INK,
        align: Align = "left",
        spacing: float = 0.0,
        max_width: float | None = None,
    ) -> None:
        """Draw a line of text on the baseline `y`, cut with an ellipsis if it is wider than `max_width` points."""
        if max_width is not None:
            line = line[: _most_characters(max_width, size)]
        line = printable(line)
        if max_width is not None:
            line = fitted(line, max_width, face=face, size=size)
        self.canvas.setFillColor(colour)
        self.canvas.setFont(face, size)
        draw = {
            "left": self.canvas.drawString,
            "right": self.canvas.drawRightString,
            "centre": self.canvas.drawCentredString,
        }[align]
        draw(x, y, line, charSpace=spacing)

    def box(self, x: float, y: float, width: float, height: float, *, colour: Color) -> None:
        """Draw a filled rectangle."""
        self.canvas.setFillColor(colour)
        self.canvas.rect(x, y, width, height, stroke=0, fill=1)

    def rule(self, x: float, y: float, x_end: float, *, colour: Color = HAIR, weight: float = 0.5) -> None:
        """Draw a horizontal line."""
        self.line(x, y, x_end, y, colour=colour, weight=weight)

    def line(
        self, x: float, y: float, x_end: float, y_end: float, *, colour: Color = HAIR, weight: float = 0.5
    ) -> None:
        """Draw a straight line."""
        self.canvas.setStrokeColor(colour)
        self.canvas.setLineWidth(weight)
        self.canvas.line(x, y, x_end, y_end)

    def dot(self, x: float, y: float, radius: float, *, colour: Color) -> None:
        """Draw a filled circle."""
        self.canvas.setFillColor(colour)
        self.canvas.circle(x, y, radius, stroke=0, fill=1)

    def heading(self, line: str, lead: str) -> float:
        """Draw a section's heading with a sentence below it; return the y below which the page is free."""
        self.text(LEFT, TOP - 20, line, face=LIGHT, size=24)
        self.text(LEFT, TOP - 38, lead, size=9.5, colour=GREY, max_width=MEASURE)
        return TOP - 66.0

    def _foot(self) -> None:
        self.rule(LEFT, BOTTOM - 18, RIGHT)
        self.text(LEFT, BOTTOM - 31, self._title, size=7.5, colour=GREY, max_width=MEASURE - 100)
        page = f"Page {self.number} of {self._pages}"
        self.text(RIGHT, BOTTOM - 31, page, size=7.5, colour=GREY, align="right")


def width_of(line: str, *, face: str = BODY, size: float = 9.0) -> float:
    """Return the width of a line of text, in points."""
    register_faces()
    return float(pdfmetrics.stringWidth(line, face, size))


def fitted(line: str, max_width: float, *, face: str = BODY, size: float = 9.0) -> str:
    """Return `line`, cut with an ellipsis if it is wider than `max_width` points."""
    line = line[: _most_characters(max_width, size)]
    if width_of(line, face=face, size=size) <= max_width:
        return line
    while line and width_of(line + "…", face=face, size=size) > max_width:
        line = line[:-1]
    return line.rstrip() + "…"


def printable(line: str) -> str:
    """Return `line` with spaces for control characters, line breaks and direction marks."""
    return "".join(" " if _is_space_in_print(one) else one for one in line)


def unprinted(text: Iterable[str]) -> list[str]:
    """Return the characters of `text` without a glyph in the fonts, sorted by code point."""
    register_faces()
    glyphs = pdfmetrics.getFont(BODY).face.charToGlyph
    found = {one for line in text for one in line}
    return sorted(one for one in found if ord(one) not in glyphs and not _is_space_in_print(one))


def mixed(start: Color, end: Color, share: float) -> Color:
    """Return the colour between `start` and `end` at `share` (0 to 1)."""
    return Color(*(a + (b - a) * share for a, b in zip(start.rgb(), end.rgb(), strict=True)))


def faded(colour: Color, alpha: float) -> Color:
    """Return `colour` with transparency."""
    return Color(*colour.rgb(), alpha=alpha)


def _is_space_in_print(one: str) -> bool:
    return unicodedata.category(one) in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def _most_characters(max_width: float, size: float) -> int:
    # No relevant glyph is narrower than a fifth of the font size: characters beyond need not be measured.
    return int(max_width / size * 5) + 2


def register_faces() -> None:
    """Register the fonts, once in each process."""
    known = set(pdfmetrics.getRegisteredFontNames())
    for face, weight in _FACES.items():
        if face not in known:
            with as_file(files("font_source_sans_pro").joinpath("files", f"SourceSansPro-{weight}.ttf")) as path:
                pdfmetrics.registerFont(TTFont(face, str(path)))
