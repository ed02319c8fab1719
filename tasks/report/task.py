"""Task `pdf.report`: a designed PDF report on a table."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import BinaryIO

import msgspec
import numpy as np

from resultstore import Artifact, Store
from resultstore.backends.celery import store_of
from tasks.app import app
from tasks.arguments import file_stem, naming, offered
from tasks.contracts import ReportProgress, Sink, silent
from tasks.csv_reader.dialect import Encoding, Header
from tasks.csv_reader.reader import Caps, Table
from tasks.documents.task import draw_cover
from tasks.report import pages, rows
from tasks.report.facts import Facts, gather_facts
from tasks.report.offer import REPORT, Report as ReportOptions
from tasks.report.pages import ContentsEntry
from tasks.report.sheet import Sheet, unprinted
from tasks.sandbox.confined import workplace

CAPS = Caps(bytes=REPORT.max_bytes, rows=10_000, columns=40)
TIME_LIMIT_S = 300
COVER_WIDTH_PX = 800
MOST_CODES = 8
"""Characters that the cover names, of those that cannot be printed."""
ROOM_FOR_GROUPS = 22
"""Lines of statistics on a page that leave room for a chart below them."""


class Section(msgspec.Struct, frozen=True):
    """Some pages under one heading, each drawn by one call."""

    name: str
    mark: str
    drawn: list[Callable[[Sheet], None]]


@offered(REPORT, time_limit_s=TIME_LIMIT_S)
def report(source: Artifact, options: ReportOptions) -> Artifact:
    """Make a report of a CSV table: key figures, distributions, relations, statistics and all its rows, on A4.

    Args:
        source: CSV of up to 10,000 rows and 40 columns.
        options: see `tasks.report.offer.Report`.

    Returns the PDF, with `pages`, `rows` and `columns` in its metadata. `unprinted` counts the characters for which
    the typeface has no glyph. The cover is also stored as a JPEG. It names those characters, and what was read
    differently from how it is written.

    Raises BadInput for what is no table, or over a cap.
    """
    store = store_of(app)
    stem = file_stem(source, "table")
    with naming("table", source), store.open(source) as stream:
        facts = facts_of(stream, header=options.header, encoding=options.encoding)
    return store_report(store, facts, stem=stem, title=options.title, source=source.file_name)


def store_report(store: Store, facts: Facts, *, stem: str, title: str, source: str) -> Artifact:
    """Store the report of `facts` as `<stem>.pdf`, and its cover as a picture `<stem>-cover.jpg`.

    `source` names the table on the cover.
    """
    metadata: dict[str, str | int | float | bool | None] = {"rows": facts.rows, "columns": len(facts.columns)}
    metadata |= facts.notes
    if missing := unprinted(_printed(facts, title or stem, source)):
        metadata["unprinted"] = len(missing)
    with store.writer(name=f"{stem}.pdf", media_type="application/pdf", metadata=metadata) as out:
        # The Artifact takes its metadata when the block ends: the count is known only now.
        metadata["pages"] = write(facts, out, title=title or stem, source=source, report=store.progress)
    with store.open(out.artifact) as made, workplace(made, name="report.pdf") as path:
        picture, cover = draw_cover(path, width=COVER_WIDTH_PX)
        shown = {"role": "cover", **msgspec.structs.asdict(cover)}
        store.put(picture, name=f"{stem}-cover.jpg", media_type="image/jpeg", metadata=shown)
    return out.artifact


def facts_of(stream: BinaryIO, *, header: Header = "auto", encoding: Encoding = "auto") -> Facts:
    """What the CSV in `stream` (seekable) shows. Raises BadInput for what is no table, or over a cap."""
    table = Table(stream, caps=CAPS, header=header, encoding=encoding)
    with np.errstate(over="ignore", invalid="ignore"):  # what numbers cannot hold is printed as missing
        return gather_facts(table)


def write(facts: Facts, out: Sink, *, title: str, source: str, report: ReportProgress = silent) -> int:
    """Write the report to `out`, which is only ever written to; gives the number of pages.

    The same facts make the same bytes. `report` hears of each page.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return _written(facts, out, title=title, source=source, report=report)


def _written(facts: Facts, out: Sink, *, title: str, source: str, report: ReportProgress) -> int:
    sections = _sections(facts)
    total = 1 + sum(len(section.drawn) for section in sections)
    sheet = Sheet(out, title=title, pages=total)
    sheet.begin("Overview", mark="overview")
    pages.cover(
        sheet,
        facts,
        title=title,
        source=source,
        contents=_contents(sections),
        notes=_notes(facts, unprinted(_printed(facts, title, source))),
    )
    sheet.end()
    for section in sections:
        for n, draw in enumerate(section.drawn):
            report(sheet.number, total, f"page {sheet.number + 1} of {total}")
            sheet.begin(section.name, mark=None if n else section.mark)
            draw(sheet)
            sheet.end()
    sheet.finish()
    report(total, total, f"{total} pages")
    return total


def _printed(facts: Facts, *more: str) -> Iterator[str]:
    """All the text of others that the report prints."""
    yield from more
    for column in facts.columns:
        yield column.name
        yield from column.cells


def _notes(facts: Facts, missing: list[str]) -> list[str]:
    """Sentences for the cover: what was not read as it stands, and what cannot be printed."""
    notes: list[str] = []
    if "read_as" in facts.notes:
        notes.append(f"Read as {facts.notes['read_as']}, as the text is not UTF-8.")
    if "short_rows" in facts.notes:
        notes.append(f"Rows with fewer cells than row 1, filled up with empty ones: {facts.notes['short_rows']}.")
    if missing:
        codes = " ".join(f"U+{ord(one):04X}" for one in missing[:MOST_CODES])
        more = f" and {len(missing) - MOST_CODES} more" if len(missing) > MOST_CODES else ""
        notes.append(f"Characters that this typeface cannot print, shown as boxes: {codes}{more}.")
    return notes


def _sections(facts: Facts) -> list[Section]:
    histograms = list(pages.batched(facts.numeric, pages.HISTOGRAMS_A_PAGE))
    figures = list(pages.batched(facts.columns, pages.STATISTICS_A_PAGE))
    made = [
        Section("Distributions", "distributions", [partial(pages.distributions, columns=some) for some in histograms]),
        Section("Relations", "relations", [partial(pages.relations, facts=facts)] if facts.strongest else []),
        Section(
            "Statistics",
            "statistics",
            [
                partial(pages.statistics, facts=facts, columns=some, with_groups=len(some) <= ROOM_FOR_GROUPS)
                for some in figures
            ],
        ),
        Section("All rows", "rows", [partial(rows.draw, panel=one) for one in rows.panels(facts.columns, facts.rows)]),
    ]
    return [section for section in made if section.drawn]


def _contents(sections: list[Section]) -> list[ContentsEntry]:
    listed: list[ContentsEntry] = []
    page = 2
    for section in sections:
        listed.append(ContentsEntry(section.name, page, section.mark))
        page += len(section.drawn)
    return listed
