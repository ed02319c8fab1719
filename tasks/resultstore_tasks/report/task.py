"""Task `pdf.report`: a designed PDF report on a table."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
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
from resultstore_tasks.report.cover import ContentsEntry, CoverLabels, cover
from resultstore_tasks.report.facts import Facts, gather_facts
from resultstore_tasks.report.finding import finding
from resultstore_tasks.report.lettering import Lettering, has_fonts_extra
from resultstore_tasks.report.offer import REPORT, Report as ReportOptions
from resultstore_tasks.report.sheet import Sheet
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
    no font has a glyph. The cover is also stored as a JPEG. It names those characters, and what was read
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
    lettering = Lettering(_printed_texts(facts, title or stem, source))
    if lettering.missing:
        metadata["unprinted"] = len(lettering.missing)
    labels = CoverLabels(title=title or stem, source=source, date=_date(store), finding=finding(facts))
    with store.writer(name=f"{stem}.pdf", media_type="application/pdf", metadata=metadata) as out:
        # The Artifact reads its metadata at the end of the block: the count is known only now.
        metadata["pages"] = write(facts, out, labels=labels, lettering=lettering, report=store.progress)
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


def write(
    facts: Facts, out: Sink, *, labels: CoverLabels, lettering: Lettering | None = None, report: ReportProgress = silent
) -> int:
    """Write the report to `out`, which is only written to, and return the number of pages.

    The same facts and labels give the same bytes. `report` receives each page. `lettering` is made if it is not given.
    """
    if lettering is None:
        lettering = Lettering(_printed_texts(facts, labels.title, labels.source))
    with np.errstate(over="ignore", invalid="ignore"):
        return _draw_all(facts, out, labels=labels, lettering=lettering, report=report)


def _draw_all(facts: Facts, out: Sink, *, labels: CoverLabels, lettering: Lettering, report: ReportProgress) -> int:
    sections = _sections(facts, lettering)
    total = 1 + sum(len(section.drawn) for section in sections)
    sheet = Sheet(out, title=labels.title, pages=total, lettering=lettering)
    sheet.begin("Overview", mark="overview")
    cover(sheet, facts, labels=labels, contents=_contents(sections), notes=_notes(facts, lettering.missing))
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
        remedy = "" if has_fonts_extra() else " Install resultstore[fonts] on the worker to print them."
        notes.append(f"Characters that no font of this worker has, shown as boxes: {codes}{more}.{remedy}")
    return notes


def _sections(facts: Facts, lettering: Lettering) -> list[Section]:
    made = _separate_sections(facts)
    if pages.fit_on_one(facts):
        drawn: list[Callable[[Sheet], None]] = [partial(pages.distributions_and_statistics, facts=facts)]
        made = [Section("Distributions and statistics", "distributions", drawn), made[1]]
    listed = [partial(rows.draw, panel=one) for one in rows.panels(facts.columns, facts.rows, lettering=lettering)]
    return [*(section for section in made if section.drawn), Section("All rows", "rows", [*listed])]


def _separate_sections(facts: Facts) -> list[Section]:
    histograms = list(pages.batched(facts.numeric, pages.HISTOGRAMS_A_PAGE))
    figures = list(pages.batched(facts.columns, pages.STATISTICS_A_PAGE))
    return [
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
    ]


def _date(store: Store) -> str:
    """Return the day on which the running task was ordered, so that a task that runs twice makes the same report."""
    request = app.current_task.request if app.current_task else None
    found = store.load(request.id) if request is not None and request.id else None
    ordered_at = found.created_at if found is not None else None
    day = datetime.fromtimestamp(time.time() if ordered_at is None else ordered_at, tz=UTC)
    return f"{day.day} {day:%B %Y}"


def _contents(sections: list[Section]) -> list[ContentsEntry]:
    listed: list[ContentsEntry] = []
    page = 2
    for section in sections:
        listed.append(ContentsEntry(section.name, page, section.mark))
        page += len(section.drawn)
    return listed
