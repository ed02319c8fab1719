"""Sheet: the pages of a report, with its grid, fonts and colours."""

from typing import Literal

from reportlab.lib.colors import Color, HexColor
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from resultstore_tasks.contracts import Sink
from resultstore_tasks.report.lettering import BODY, LIGHT, STRONG, UNITS, Lettering, draw_runs, printable

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

Align = Literal["left", "right", "centre"]


class Sheet:
    """Draws page after page. Text is drawn literally: it has no markup.

    Args:
        out: receives the PDF when `finish` is called; it is only written to.
        title: title of the document, for the viewer's window and the footer of each page.
        pages: number of pages that will be drawn.
        lettering: the fonts of all text that will be drawn.

    Coordinates are points from the lower left corner (ISO 32000).
    """

    def __init__(self, out: Sink, *, title: str, pages: int, lettering: Lettering) -> None:
        self.lettering = lettering
        # Invariant: the same table gives the same bytes, so that a task that runs twice gives the same report.
        self.canvas = Canvas(out, pagesize=A4, invariant=1, lang="en", pageCompression=1)
        self.canvas.setTitle(printable(title))
        self.canvas.setCreator("resultstore")
        self.canvas.setAuthor("resultstore")
        self.canvas.setSubject("Report of a table")
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
            line = self.lettering.fitted(line, max_width, face=face, size=size)
        runs = self.lettering.runs(line, face)
        width = sum(run.width for run in runs) * size / UNITS + spacing * max(0, len(line) - 1)
        x -= {"left": 0.0, "right": width, "centre": width / 2}[align]
        self.canvas.setFillColor(colour)
        draw_runs(self.canvas, x, y, runs, size=size, spacing=spacing)

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


def mixed(start: Color, end: Color, share: float) -> Color:
    """Return the colour between `start` and `end` at `share` (0 to 1)."""
    return Color(*(a + (b - a) * share for a, b in zip(start.rgb(), end.rgb(), strict=True)))


def faded(colour: Color, alpha: float) -> Color:
    """Return `colour` with transparency."""
    return Color(*colour.rgb(), alpha=alpha)
