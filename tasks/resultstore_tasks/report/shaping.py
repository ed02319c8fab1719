"""Shaper: lines of text in any script as characters of fonts, from left to right."""

import functools
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Final

import uharfbuzz
from reportlab.pdfbase import pdfmetrics

from resultstore_tasks.report import script_font
from resultstore_tasks.report.bidi_order import in_visual_order, levels_of, mirrored
from resultstore_tasks.report.lettering import JOINERS, Run
from resultstore_tasks.report.script_font import Cluster, ScriptFont
from resultstore_tasks.report.script_sources import ScriptSource, sources_for

_MARKS: Final = frozenset({"Mn", "Me", "Mc"})
_SKIN_TONES: Final = range(0x1F3FB, 0x1F400)
_CACHED_LINES: Final = 8192


class Shaper:
    """Shapes the lines of one report that have characters which the report's own typeface lacks.

    Args:
        own: the characters of the report's own typeface, which is used where it can be.
        lacking: the other characters of the report. `missing` are those that no font has.
    """

    def __init__(self, own: frozenset[int], lacking: Iterable[str]) -> None:
        self._own = own
        self._sources: dict[str, ScriptSource] = {}
        wanted = set(lacking)
        for source in sources_for(wanted):
            self._sources |= {one: source for one in wanted - self._sources.keys() if ord(one) in source.characters}
            if wanted == self._sources.keys():
                break
        self.missing = frozenset(wanted - self._sources.keys() - JOINERS)
        self._font = ScriptFont()
        self._font.register()
        self.runs = functools.lru_cache(maxsize=_CACHED_LINES)(self._runs)

    def _runs(self, line: str, face: str) -> tuple[Run, ...]:
        """Return the runs of a line from left to right; `face` is the report's own typeface, in the wanted weight."""
        levels, sources = levels_of(line), list(self._sources_of(line))
        runs: list[tuple[int, Run]] = []
        start = 0
        for (level, source), group in groupby(zip(levels, sources, strict=True)):
            end = start + len(list(group))
            piece = line[start:end]
            runs.append((level, _own_run(piece, face, level) if source is None else self._shaped(piece, source, level)))
            start = end
        return tuple(in_visual_order(runs))

    def _sources_of(self, text: str) -> Iterator[ScriptSource | None]:
        """Yield the font of each character; None for the report's own typeface.

        Marks and joiners are in the font of the letter before them. If our own typeface has that letter, it is drawn
        in the font of the mark, because ours cannot place marks.
        """
        before: ScriptSource | None = None
        for one, following in zip(text, [*text[1:], ""], strict=True):
            if not _joins(one) or before is None:
                own = ord(one) in self._own
                before = self._sources.get(following if own and _joins(following) else one)
            yield before

    def _shaped(self, text: str, source: ScriptSource, level: int) -> Run:
        buffer = uharfbuzz.Buffer()
        buffer.cluster_level = uharfbuzz.BufferClusterLevel.MONOTONE_CHARACTERS
        buffer.add_str(text)
        buffer.guess_segment_properties()
        buffer.direction = "rtl" if level % 2 else "ltr"
        uharfbuzz.shape(source.font, buffer)
        glyphs = list(zip(buffer.glyph_infos, buffer.glyph_positions, strict=True))
        starts = sorted({info.cluster for info, _ in glyphs})
        ends = dict(zip(starts, [*starts[1:], len(text)], strict=True))
        characters, width = "", 0.0
        for start, group in groupby(glyphs, key=lambda one: int(one[0].cluster)):
            cluster = _cluster(source, list(group))
            characters += chr(self._font.code_of(cluster, text[start : ends[start]]))
            width += script_font.UNITS * cluster.advance / source.units
        return Run(script_font.NAME, characters, width)


def _joins(one: str) -> bool:
    """Return True for a character that belongs to the one before it."""
    return bool(one) and (one in JOINERS or ord(one) in _SKIN_TONES or unicodedata.category(one) in _MARKS)


def _cluster(source: ScriptSource, glyphs: list[tuple[Any, Any]]) -> Cluster:
    """Return the glyphs of a cluster with their places from its start."""
    placed, advance = [], 0
    for info, position in glyphs:
        placed.append((info.codepoint, advance + position.x_offset, position.y_offset))
        advance += position.x_advance
    return Cluster(source, tuple(placed), advance)


def _own_run(text: str, face: str, level: int) -> Run:
    """Return a run in the report's own typeface, which needs no shaping."""
    shown = mirrored(text) if level % 2 else text
    widths = pdfmetrics.getFont(face).face
    return Run(face, shown, sum(widths.getCharWidth(ord(one)) for one in shown))
