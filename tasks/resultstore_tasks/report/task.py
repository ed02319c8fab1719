"""Task `pdf.report`: a designed PDF report on a table."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import BinaryIO

import msgspec
import numpy as np

from resultstore import Artifact, Store
from resultstore.backends.celery import store_of
from resultstore_tasks.app import app
from resultstore_tasks.arguments import file_stem, naming, offered
from resultstore_tasks.contracts import ReportProgress, Sink, silent
from resultstore_tasks.csv_reader.dialect import Encoding, Header
from resultstore_tasks.csv_reader.reader import Caps, Table
from resultstore_tasks.documents.task import draw_cover
from resultstore_tasks.report import pages, rows
from resultstore_tasks.report.facts import Facts, gather_facts
from resultstore_tasks.report.offer import REPORT, Report as ReportOptions
from resultstore_tasks.report.pages import ContentsEntry
from resultstore_tasks.report.sheet import Sheet, unprinted
from resultstore_tasks.sandbox.confined import workplace

CAPS = Caps(bytes=REPORT.max_bytes, rows=10_000, columns=40)
TIME_LIMIT_S = 300
COVER_WIDTH_PX = 800
MOST_CODES = 8
"""Maximum number of unprintable characters that the cover names."""
MAX_LINES_ABOVE_GROUPS = 22
"""Maximum lines of statistics on a page with a chart below them."""


class Section(msgspec.Struct, frozen=True):
    """Pages under one heading, each drawn by one call."""

    name: str
    mark: str
    drawn: list[Callable[[Sheet], None]]


@offered(REPORT, time_limit_s=TIME_LIMIT_S)
def report(source: Artifact, options: ReportOptions) -> Artifact:
    """Make a report of a CSV table: key figures, distributions, relations, statistics and all its rows, on A4.

    Args:
        source: CSV of up to 10,000 rows and 40 columns.
        options: see `resultstore_tasks.report.offer.Report`.

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
    if missing := unprinted(_printed_texts(facts, title or stem, source)):
        metadata["unprinted"] = len(missing)
    with store.writer(name=f"{stem}.pdf", media_type="application/pdf", metadata=metadata) as out:
        # The Artifact reads its metadata at the end of the block: the count is known only now.
        metadata["pages"] = write(facts, out, title=title or stem, source=source, report=store.progress)
    with store.open(out.artifact) as made, workplace(made, name="report.pdf") as path:
        picture, cover = draw_cover(path, width=COVER_WIDTH_PX)
        shown = {"role": "cover", **msgspec.structs.asdict(cover)}
        store.put(picture, name=f"{stem}-cover.jpg", media_type="image/jpeg", metadata=shown)
    return out.artifact


def facts_of(stream: BinaryIO, *, header: Header = "auto", encoding: Encoding = "auto") -> Facts:
    """Return the facts of the CSV in `stream` (seekable). Raises BadInput if it is no table, or over a limit."""
    table = Table(stream, caps=CAPS, header=header, encoding=encoding)
    with np.errstate(over="ignore", invalid="ignore"):  # an overflow is printed as missing
        return gather_facts(table)


def write(facts: Facts, out: Sink, *, title: str, source: str, report: ReportProgress = silent) -> int:
    """Write the report to `out`, which is only written to, and return the number of pages.

    The same facts give the same bytes. `report` receives each page.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return _draw_all(facts, out, title=title, source=source, report=report)


def _draw_all(facts: Facts, out: Sink, *, title: str, source: str, report: ReportProgress) -> int:
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
        notes=_notes(facts, unprinted(_printed_texts(facts, title, source))),
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


def _printed_texts(facts: Facts, *more: str) -> Iterator[str]:
    """Yield all text of the user that the report prints."""
    yield from more
    for column in facts.columns:
        yield column.name
        yield from column.cells


def _notes(facts: Facts, missing: list[str]) -> list[str]:
    """Return sentences for the cover: how the table was read, and what cannot be printed."""
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
                partial(pages.statistics, facts=facts, columns=some, with_groups=len(some) <= MAX_LINES_ABOVE_GROUPS)
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
