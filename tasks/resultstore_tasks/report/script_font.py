"""ScriptFont: the font of one report for all scripts beyond its own typeface, made of the glyphs that it needs."""

import io
from typing import Any, Final

import msgspec
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.cu2quPen import Cu2QuPen
from fontTools.pens.transformPen import TransformPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import SUBSETN, TTFont, TTFontFace

from resultstore import BadInput
from resultstore_tasks.report.script_sources import ScriptSource

NAME: Final = "Script"
UNITS: Final = 1000
_PRIVATE: Final = range(0xE000, 0xF900)  # the private use area: codes of clusters that are no single character
_PER_BLOCK: Final = 100  # entries of a CMap (Adobe Technical Note 5411, section 1.4)
_MAX_ERROR: Final = 1.0  # of a quadratic curve in place of a cubic one, in thousandths of the font size
_ASCENT, _DESCENT = 880, -120


class Cluster(msgspec.Struct, frozen=True):
    """Glyphs that stand for one text, such as a letter with its dots: each with its place, in units of its font."""

    source: ScriptSource
    glyphs: tuple[tuple[int, int, int], ...]
    advance: int


class ScriptFont(TTFont):
    """TrueType font with a glyph for each cluster of shaped text.

    reportlab draws characters, not glyphs, so each cluster gets a character code, the same for the same report. The
    font is made when the document is written. Its ToUnicode table has the text of each cluster (ISO 32000-2, section
    9.10.3), so that a reader can search and copy it.
    """

    def __init__(self) -> None:
        self._clusters: dict[int, Cluster] = {}
        self._texts: dict[int, str] = {}
        self._codes: dict[tuple[Cluster, str], int] = {}
        self._free = iter(_PRIVATE)
        super().__init__(NAME, self._made(), shapable=False)
        self._name = self.face.name

    def register(self) -> None:
        """Register the font with reportlab, in place of that of an earlier report."""
        pdfmetrics._fonts.pop(NAME, None)  # noqa: SLF001 - reportlab has no other way
        pdfmetrics._dynFaceNames.pop(self._name, None)  # noqa: SLF001 - the same
        pdfmetrics.registerFont(self)

    def code_of(self, cluster: Cluster, text: str) -> int:
        """Return the code of a cluster that stands for `text`. Raises BadInput for too many of several characters."""
        known = self._codes.get((cluster, text))
        if known is not None:
            return known
        is_plain = len(text) == 1 and ord(text) < _PRIVATE.start and ord(text) not in self._texts
        code = ord(text) if is_plain else next(self._free, None)
        if code is None:
            raise BadInput(f"it has over {len(_PRIVATE):,} rare characters and letter forms; send fewer rows")
        self._codes[cluster, text], self._clusters[code], self._texts[code] = code, cluster, text
        self.face.charToGlyph[code] = len(self._clusters)
        self.face.charWidths[code] = cluster.advance * UNITS / cluster.source.units
        return code

    def addObjects(self, doc: Any) -> None:  # noqa: ANN401, N802 - reportlab's interface
        """Make the font and write it, with the text of each of its codes."""
        subsets = [list(one) for one in self.state[doc].subsets]
        self.face = TTFontFace(self._made())
        super().addObjects(doc)
        for number, subset in enumerate(subsets):
            prefix = b"".join((SUBSETN(number), b"+", self.face.name, self.face.subfontNameX)).decode("pdfdoc")
            doc.idToObject[f"toUnicodeCMap:{prefix}"].content = self._to_unicode(prefix, subset)

    def _made(self) -> io.BytesIO:
        names = {code: f"c{code:04X}" for code in self._clusters}
        outlines = {".notdef": TTGlyphPen(None).glyph()}
        widths = {".notdef": UNITS // 2}
        for code, cluster in self._clusters.items():
            outlines[names[code]] = _outline(cluster)
            widths[names[code]] = round(cluster.advance * UNITS / cluster.source.units)
        builder = FontBuilder(UNITS, isTTF=True)
        builder.setupGlyphOrder(list(outlines))
        builder.setupCharacterMap(names or {0x20: ".notdef"})
        builder.setupGlyf(outlines)
        sides = {name: (width, getattr(outlines[name], "xMin", 0)) for name, width in widths.items()}
        builder.setupHorizontalMetrics(sides)
        builder.setupHorizontalHeader(ascent=_ASCENT, descent=_DESCENT)
        builder.setupNameTable({"familyName": NAME, "styleName": "Regular", "psName": f"{NAME}-Regular"})
        builder.setupOS2(sTypoAscender=_ASCENT, sTypoDescender=_DESCENT, usWinAscent=1160, usWinDescent=288)
        builder.setupPost()
        builder.setupHead(unitsPerEm=UNITS, created=0, modified=0)  # the same report has the same bytes
        builder.font.recalcTimestamp = False
        made = io.BytesIO()
        builder.save(made)
        made.seek(0)
        return made

    def _to_unicode(self, name: str, subset: list[int]) -> str:
        texts = [self._texts.get(code, chr(code)).encode("utf-16-be").hex().upper() for code in subset]
        entries = [f"<{n:02X}> <{text}>" for n, text in enumerate(texts)]
        blocks = [entries[n : n + _PER_BLOCK] for n in range(0, len(entries), _PER_BLOCK)]
        return "\n".join(
            [
                "/CIDInit /ProcSet findresource begin",
                "12 dict begin",
                "begincmap",
                f"/CIDSystemInfo << /Registry ({name}) /Ordering ({name}) /Supplement 0 >> def",
                f"/CMapName /{name} def",
                "/CMapType 2 def",
                f"1 begincodespacerange\n<00> <{len(subset) - 1:02X}>\nendcodespacerange",
                *(f"{len(block)} beginbfchar\n" + "\n".join(block) + "\nendbfchar" for block in blocks),
                "endcmap\nCMapName currentdict /CMap defineresource pop\nend\nend",
            ]
        )


def _outline(cluster: Cluster) -> Any:  # noqa: ANN401 - fontTools ships no types
    """Return the glyphs of a cluster as one TrueType glyph."""
    pen = TTGlyphPen(None)
    scale = UNITS / cluster.source.units
    for glyph, x, y in cluster.glyphs:
        placed = TransformPen(pen, (scale, 0, 0, scale, x * scale, y * scale))
        drawn = Cu2QuPen(placed, _MAX_ERROR, reverse_direction=True) if cluster.source.is_cubic else placed
        cluster.source.font.draw_glyph_with_pen(glyph, drawn)
    return pen.glyph()
