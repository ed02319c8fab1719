"""Lettering: the fonts of one report, and how wide its text is."""

import importlib
import importlib.util
import unicodedata
from collections.abc import Iterable
from importlib.resources import as_file, files
from typing import Any, Final

import msgspec
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

# Source Sans (Adobe, SIL OFL 1.1): Latin, Greek and Cyrillic. All its digits have the same width, so numbers align.
LIGHT, BODY, STRONG = "SourceSans-Light", "SourceSans", "SourceSans-Semibold"
_FACES: Final = {LIGHT: "Light", BODY: "Regular", STRONG: "Semibold"}
_FONTS_EXTRA: Final = ("manimgx_fonts", "manimgx_fonts_cjk", "uharfbuzz", "bidi", "fontTools")
UNITS: Final = 1000  # of the font size, in which widths are measured
# They choose or join the glyphs of the characters next to them, and are not printed.
JOINERS: Final = frozenset("\u200c\u200d\ufe0e\ufe0f")


class Run(msgspec.Struct, frozen=True):
    """Characters of one of the fonts that reportlab knows. `width` is in thousandths of the font size."""

    face: str
    characters: str
    width: float


class Lettering:
    """Chooses the font of each character of one report: its own typeface, else a Noto font of the extra `fonts`.

    Args:
        texts: all text of the user that the report prints.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        register_faces()
        glyphs = pdfmetrics.getFont(BODY).face.charToGlyph
        found = {one for line in texts for one in printable(line)}
        # Our own typeface has accents, but cannot place them over any letter.
        self._own = frozenset(code for code in glyphs if not unicodedata.combining(chr(code)))
        self._lacking = frozenset(one for one in found if ord(one) not in self._own)
        can_shape = bool(self._lacking) and has_fonts_extra()
        shaping = importlib.import_module("resultstore_tasks.report.shaping") if can_shape else None
        self._shaper: Any = None if shaping is None else shaping.Shaper(self._own, self._lacking)

    @property
    def missing(self) -> list[str]:
        """The characters that no font has, which are printed as boxes, by their code points."""
        glyphs = pdfmetrics.getFont(BODY).face.charToGlyph
        missing = self._lacking if self._shaper is None else self._shaper.missing
        return sorted(one for one in missing if ord(one) not in glyphs and one not in JOINERS)

    def runs(self, line: str, face: str) -> tuple[Run, ...]:
        """Return a line as runs of one font each, from left to right."""
        text = printable(line)
        if self._shaper is not None and not self._lacking.isdisjoint(text):
            runs: tuple[Run, ...] = self._shaper.runs(text, face)
            return runs
        plain = "".join(one for one in text if one not in JOINERS)
        return (Run(face, plain, float(pdfmetrics.stringWidth(plain, face, UNITS))),)

    def width(self, line: str, *, face: str = BODY, size: float = 9.0) -> float:
        """Return the width of a line of text, in points."""
        return sum(run.width for run in self.runs(line, face)) * size / UNITS

    def fitted(self, line: str, max_width: float, *, face: str = BODY, size: float = 9.0) -> str:
        """Return `line`, cut with an ellipsis if it is wider than `max_width` points."""
        line = printable(line[: _most_characters(max_width, size)])
        if self.width(line, face=face, size=size) <= max_width:
            return line
        fits, too_long = 0, len(line)
        while too_long - fits > 1:  # text gets wider with each character, but for ligatures
            middle = (fits + too_long) // 2
            is_short = self.width(line[:middle] + "…", face=face, size=size) <= max_width
            fits, too_long = (middle, too_long) if is_short else (fits, middle)
        return line[:fits].rstrip(" \u200c\u200d") + "…"

    def wrapped(self, line: str, max_width: float, *, face: str, size: float) -> list[str]:
        """Return the lines into which a text is broken: between words, and inside a word that is too wide."""
        lines: list[str] = []
        for word in printable(line).split():
            longer = f"{lines[-1]} {word}" if lines else word
            if lines and self.width(longer, face=face, size=size) <= max_width:
                lines[-1] = longer
            else:
                lines += self._broken(word, max_width, face=face, size=size)
        return lines

    def _broken(self, word: str, max_width: float, *, face: str, size: float) -> list[str]:
        pieces = [""]
        for one in word:
            if pieces[-1] and self.width(pieces[-1] + one, face=face, size=size) > max_width:
                pieces.append("")
            pieces[-1] += one
        return pieces


def draw_runs(canvas: Canvas, x: float, y: float, runs: Iterable[Run], *, size: float, spacing: float = 0.0) -> None:
    """Draw runs one after the other on the baseline `y`, in the canvas's fill colour."""
    for run in runs:
        canvas.setFont(run.face, size)
        canvas.drawString(x, y, run.characters, charSpace=spacing)
        x += run.width * size / UNITS


def has_fonts_extra() -> bool:
    """Return True if the packages of the extra `fonts` are installed."""
    return all(importlib.util.find_spec(one) for one in _FONTS_EXTRA)


def printable(line: str) -> str:
    """Return `line` with spaces for control characters, line breaks and direction marks, and composed accents."""
    composed = unicodedata.normalize("NFC", line) if not line.isascii() else line
    return "".join(" " if _is_space_in_print(one) else one for one in composed)


def register_faces() -> None:
    """Register the report's own typeface, once in each process."""
    known = set(pdfmetrics.getRegisteredFontNames())
    for face, weight in _FACES.items():
        if face not in known:
            with as_file(files("font_source_sans_pro").joinpath("files", f"SourceSansPro-{weight}.ttf")) as path:
                pdfmetrics.registerFont(TTFont(face, str(path)))


def _is_space_in_print(one: str) -> bool:
    return one not in JOINERS and unicodedata.category(one) in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def _most_characters(max_width: float, size: float) -> int:
    # No relevant glyph is narrower than a fifth of the font size: characters beyond need not be measured.
    return int(max_width / size * 5) + 2
