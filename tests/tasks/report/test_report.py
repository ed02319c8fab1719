"""Report: a PDF with the contents of any table."""

import io

import numpy as np
import pypdfium2
import pytest

from resultstore import BadInput
from resultstore_tasks.csv_reader.reader import Caps
from resultstore_tasks.report import task as pdf
from resultstore_tasks.report.cover import CoverLabels
from resultstore_tasks.report.finding import finding
from resultstore_tasks.report.lettering import printable


class Pipe:
    """Something that can only be written to."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes, /) -> int:
        self.pieces.append(bytes(data))
        return len(data)


def written(content: bytes, title: str = "Wines", report=lambda *_: None) -> bytes:
    pipe = Pipe()
    facts = pdf.facts_of(io.BytesIO(content))
    labels = CoverLabels(title=title, source="wine.csv", date="1 December 2026", finding=finding(facts))
    pdf.write(facts, pipe, labels=labels, report=report)
    return b"".join(pipe.pieces)


def pages_of(document: bytes) -> list[str]:
    with pypdfium2.PdfDocument(document) as opened:
        return [page.get_textpage().get_text_bounded() for page in opened]


def test_wine_table_gives_eight_pages(wine):
    told: list[tuple[float, float, str]] = []
    pages = pages_of(written(wine, report=lambda *step: told.append(step)))

    assert len(pages) == 8
    assert told[1] == (2, 8, "page 3 of 8")
    assert told[-1] == (8, 8, "8 pages")
    assert all(f"Page {n} of 8" in text for n, text in enumerate(pages[1:], start=2))
    for figure, label in (("178", "rows"), ("14", "columns"), ("13", "numeric columns"), ("100 %", "of cells filled")):
        assert figure in pages[0]
        assert label in pages[0]


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (None, "The columns total phenols and flavanoids rise together (correlation 0.86)."),
        (b"x,y\n1,9\n2,7\n3,1\n", "The columns x and y move in opposite directions (correlation \N{MINUS SIGN}0.96)."),
        (b"who,n\nann,1\nann,1\nbob,1\n", "The most frequent who is ann, in 2 of 3 rows (67 %)."),
        (b"who,n\n,1\n,1\nbob,1\n", "The column who is empty in 2 of 3 rows (67 %)."),
        (b"n\n1\n2\n9\n", "The column n ranges from 1 to 9, with a median of 2."),
        (b"n\n1\n2\n3\n9\n", "The column n ranges from 1 to 9, with a median of 2.5."),
        (b"who,n\n" + b"ann,1\n" * 300 + b"bob,1\n", "The most frequent who is ann, in 300 of 301 rows (over 99 %)."),
        (
            "\u0627\u0644\u0645\u0628\u0644\u063a\n560\n3400\n".encode(),
            "ranges from 560 to 3400, with a median of 1980.",
        ),
        (b"a,b\nx,y\nz,w\n", "2 rows of text in 2 columns; no column holds different numbers."),
    ],
)
def test_cover_names_source_date_and_finding(wine, table, sentence):
    cover = " ".join(pages_of(written(table or wine))[0].split())

    assert "Source: wine.csv" in cover
    assert "1 December 2026" in cover
    assert sentence in cover


@pytest.mark.parametrize("table", ["wine", b"x,y\n1,9\n2,7\n3,1\n", b"n\n" + b"".join(b"%d\n" % n for n in range(90))])
def test_no_page_before_the_rows_is_half_empty(wine, table):
    with pypdfium2.PdfDocument(written(wine if table == "wine" else table)) as opened:
        pictures = [np.asarray(page.render(scale=0.5, grayscale=True).to_pil()) for page in opened]
        texts = [page.get_textpage().get_text_bounded() for page in opened]

    for picture, text in zip(pictures, texts, strict=True):
        inked = np.flatnonzero((picture < 250).any(axis=1))
        drawn = inked[inked < 0.92 * len(picture)]  # without the footer
        assert "ALL ROWS" in text or drawn[-1] > 0.6 * len(picture), text


def test_every_row_is_printed_under_repeated_headers(wine):
    pages = pages_of(written(wine))[4:]

    lines = [line for page in pages for line in page.splitlines()]
    rows = {line.split()[0]: line.split()[1:] for line in lines if line.split()[-1:] and "class_" in line}
    assert len(rows) == 178
    assert rows["1"][:3] == ["14.23", "1.71", "2.43"]
    assert rows["178"][-2:] == ["560", "class_2"]
    assert all("magnesium" in page for page in pages)


def test_the_figures_are_the_tables_own():
    pages = pages_of(written(b"height,weight\n" + b"".join(b"%d,%d\n" % (n, 3000 - 2 * n) for n in range(-5, 6))))

    text = " ".join(pages)
    assert "r = \N{MINUS SIGN}1.00" in text
    assert "3000.0" in text  # the mean of the weight
    assert "2990" in text  # its minimum


def test_contents_and_outline_link_to_sections(wine):
    with pypdfium2.PdfDocument(written(wine)) as opened:
        outline = [(mark.get_title(), mark.get_dest().get_index()) for mark in opened.get_toc()]
        title = opened.get_metadata_value("Title")

    assert outline == [("Overview", 0), ("Distributions", 1), ("Relations", 2), ("Statistics", 3), ("All rows", 4)]
    assert title == "Wines"


def test_the_same_table_makes_the_same_bytes(wine):
    assert written(wine) == written(wine)


def test_markup_in_texts_is_printed_literally():
    hostile = '<para><b onclick="x">&lt;img src="file:///etc/passwd"/></para>'
    quoted = hostile.replace('"', '""')
    content = f'"{quoted}",n\n"{quoted}",1\nplain,2\n'.encode()

    pages = pages_of(written(content, title=hostile))

    assert '<para><b onclick="x">&lt;' in " ".join(pages)
    assert "root:" not in " ".join(pages)


def test_text_in_any_script_gives_a_report():
    words = ["Ж\u0301\u0443к", "Ωmega", "日本語", "עברית", "😀", "a\tb", "\u202egnp.exe", "x" * 5000, "", "\u2011"]
    content = "word,värde\n" + "".join(f'"{word}",{n}.5\n' for n, word in enumerate(words))

    pages = pages_of(written(content.encode(), title="Ärger mit Ω, Ж und 日本"))

    text = " ".join(pages)
    assert "Ωmega" in text
    assert "a b" in text  # a control character is a space in print
    assert "värde" in text
    assert "…" in text


def test_direction_marks_are_not_printed():
    assert printable("invoice\u202egnp.exe\tnow\0") == "invoice gnp.exe now "


@pytest.mark.parametrize(
    "content",
    [
        b"a\n1\n",
        b"a,b\n,\n,\n",
        b"only\ntext\nhere\n",
        b"x,y\n1,1\n1,1\n1,1\n",
        b"x,y\n1,nan\n2,inf\n3,-inf\n4,5\n",
        b"x,y\n1e300,1e-300\n-1e300,2e-300\n5,5\n",
        b"a_very_long_name_" * 20 + b",b\n1,2\n3,5\n",
        b"flag,when\ntrue,2026-01-01\nfalse,2026-01-02\n",
        b"n\n" + b"".join(b"%d\n" % (n % 7) for n in range(3000)),
    ],
)
def test_odd_tables_make_a_report_too(content):
    assert len(pages_of(written(content))) >= 3


def test_wide_table_continues_with_its_next_columns():
    names = [f"measurement_{n}" for n in range(40)]
    content = ",".join(names) + "\n" + "".join(",".join(str(n * m) for n in range(40)) + "\n" for m in range(60))

    pages = pages_of(written(content.encode()))

    table = [page for page in pages if "ALL ROWS" in page]
    assert len(table) % 2 == 0
    assert "columns 1 of" in table[0]
    assert sum(page.count("measurement") for page in table if "rows 1 to" in page) == 40
    assert f"{39 * 59}" in table[-1]


@pytest.mark.parametrize(
    ("caps", "reason"),
    [
        (Caps(bytes=100), "over the cap of 100 bytes"),
        (Caps(bytes=10**6, rows=100), "more than 100 rows"),
        (Caps(bytes=10**6, columns=13), "14 columns, over the cap of 13"),
    ],
)
def test_a_table_over_a_cap_is_refused(monkeypatch, wine, caps, reason):
    monkeypatch.setattr(pdf, "CAPS", caps)

    with pytest.raises(BadInput, match=reason):
        written(wine)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "it is empty"), (b"a,b\n", "a header and no rows"), (b"a\0b", "binary"), (b"a,b\n1,2,3\n", "row 2 has 3")],
)
def test_invalid_table_is_refused_with_the_reason(content, reason):
    with pytest.raises(BadInput, match=reason):
        written(content)


def test_largest_table_costs_bounded_time_and_memory(measured):
    imports = """
import io
from resultstore_tasks.report import task as pdf
from resultstore_tasks.report.cover import CoverLabels
class Nowhere:
    def write(self, data):
        return len(data)
def report(rows):
    names = ",".join(f"c{n}" for n in range(14))
    body = "".join(",".join(f"{(n * 7919 + m) % 1000 / 10}" for m in range(14)) + chr(10) for n in range(rows))
    content = io.BytesIO((names + chr(10) + body).encode())
    return pdf.write(pdf.facts_of(content), Nowhere(), labels=CoverLabels(title="Long", source="long.csv"))
report(50)
"""
    spent = measured(imports, "said = report(10_000)")

    assert spent["said"] > 200
    assert spent["cpu_s"] < 60  # of the 300 s that the task may take
    assert spent["growth_mib"] < 400


def test_cells_are_printed_as_they_are():
    ids = "id,year,zip,lat\n9007199254740993,2014,01234,35.689487\n9007199254740995,2015,02139,30.044420\n"
    pages = pages_of(written(ids.encode()))

    rows = [line.split()[1:] for line in pages[-1].splitlines() if line.startswith(("1 ", "2 "))]
    assert rows == [
        ["9007199254740993", "2014", "01234", "35.689487"],
        ["9007199254740995", "2015", "02139", "30.044420"],
    ]
    text = " ".join(pages)
    assert "2,01" not in text
    assert "9007199254740993" in pages[-2]  # the least id among the statistics, with all its digits


def test_identifiers_longer_than_int64_make_a_report():
    pages = pages_of(written(b"id,x\n12345678901234567890,1\n12345678901234567891,2\n"))

    assert "12345678901234567891" in pages[-1]


def test_cover_lists_guessed_encoding_and_missing_characters():
    table = "city,n,m\n東\U000e1234,1,2\n\U00012000,2\n"
    western = "name,n\nMüller,1\nMeier,2\n".encode("latin-1")

    cover = " ".join(pages_of(written(table.encode()))[0].split())

    assert "shown as boxes: U+12000 U+E1234." in cover
    assert "東" in cover
    assert "fewer cells than row 1, filled up with empty ones: 1." in cover
    assert "Read as windows-1252" in pages_of(written(western))[0]
    assert "boxes" not in pages_of(written(western))[0]


@pytest.mark.parametrize("number", ["1.7e308", "5e-324", "9007199254740993"])
def test_extreme_float64_numbers_give_a_report(number):
    content = f"x,y\n{number},1\n-{number},2\n0,3\n".encode()

    assert len(pages_of(written(content))) >= 3
