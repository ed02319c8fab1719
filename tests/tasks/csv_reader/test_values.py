"""Reader: values that other readers silently change are kept, or the table is refused."""

import io

import pytest

from resultstore import BadInput
from resultstore_tasks.csv_reader import chunks
from resultstore_tasks.csv_reader.reader import Caps, Table


def read(content: str | bytes, **options) -> dict[str, list]:
    given = content if isinstance(content, bytes) else content.encode()
    table = Table(io.BytesIO(given), caps=Caps(), **options)
    columns: dict[str, list] = {name: [] for name in table.names}
    for batch in table.batches():
        for name, cells in zip(table.names, batch.columns, strict=True):
            columns[name] += cells.to_pylist()
    return columns


@pytest.mark.parametrize("word", ["NA", "N/A", "NULL", "null", "nan", "NaN"])
def test_words_for_nothing_are_text_among_text(word):
    assert read(f'country,code\nNamibia,"{word}"\nFrance,FR\n')["code"] == [word, "FR"]
    assert read(f"country,code\nNamibia,{word}\nFrance,FR\n")["code"] == [word, "FR"]


def test_words_for_nothing_are_empty_among_numbers():
    columns = read('n,quoted,day\n1,1,2026-01-01\nNA,"NA",NULL\n,3,\n')

    assert columns["n"] == [1, None, None]
    assert columns["quoted"] == ["1", "NA", "3"]
    assert columns["day"][1:] == [None, None]


def test_empty_and_quoted_empty_text_stay_apart():
    assert read('a,b\nx,\nx,""\nx,y\n')["b"] == [None, "", "y"]
    assert read('a,b\nx,"1"\nx,""\n')["b"] == [1, None]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["01234", "10115"], str),
        (["+4930", "4930"], str),
        (["12345678901234567890", "1"], str),
        (["9007199254740993", "1"], int),
        (["9007199254740993", "1.5"], str),
        (["12345678901234567.89", "1"], str),
        (["1e400", "1"], str),
        (["0.30000000000000004", "1e-3"], float),
        (["1.000000000000000056e-01", "2"], float),
        ([" 1", "2 "], int),
        (["1,5", "2"], str),
        (["2026-02-30", "2026-02-01"], str),
        (["true", "0"], str),
    ],
)
def test_numbers_are_numbers_only_without_loss(cells, expected):
    values = read("x;y\n" + "".join(f"{cell};a\n" for cell in cells))["x"]

    assert [type(value) for value in values] == [expected] * len(cells)
    assert values == [expected(cell) for cell in cells]


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ('"Name, Vorname";"Ort"\n"Müller, Hans";Berlin\n', ["Name, Vorname", "Ort"]),
        ("a;b\n1,5;2,5\n3,5;4,5\n", ["a", "b"]),
        ("name, first\tsize\nx\t1\n", ["name, first", "size"]),
        ("sep=;\na;b\n1;2\n", ["a", "b"]),
        ("\ufeffsep=^\r\na^b\r\n1^2\r\n", ["a", "b"]),
        ("a,b;c\n1,2;3\n4,5\n", ["a", "b;c"]),
        ("one column\nx\n", ["one column"]),
        ("Name, first\tCity, state\nDoe, John\tAustin, TX\n", ["Name, first", "City, state"]),
        ('"a;b","c;d"\n"1;2","3;4"\n', ["a;b", "c;d"]),
        ("sep=;\nNet, EUR;Gross, EUR\n1,50;1,79\n", ["Net, EUR", "Gross, EUR"]),
    ],
)
def test_delimiter_is_judged_by_whole_rows(content, names):
    assert list(read(content)) == names


@pytest.mark.parametrize("rows", ["1,50;1,79\n", "1,50;1,79\n2,50;2,98\n9,00\n", ""])
def test_two_even_delimiters_are_refused(rows):
    with pytest.raises(BadInput, match="`sep=;`"):
        read("Net, EUR;Gross, EUR\n" + rows)


def test_rows_of_values_are_never_taken_for_names():
    iris = "5.1,3.5,Iris-setosa\n4.9,3.0,Iris-setosa\n"

    with pytest.raises(BadInput, match="header='no'"):
        read(iris)
    assert read(iris, header="no") == {
        "column_1": [5.1, 4.9],
        "column_2": [3.5, 3.0],
        "column_3": ["Iris-setosa", "Iris-setosa"],
    }
    assert read(iris, header="yes")["5.1"] == [4.9]


@pytest.mark.parametrize("names", ["0,1,2,3,4", "country,2014,2015,2016", ",0,1,2,3,4", "1,2,3,4,5"])
def test_counted_columns_and_years_are_names(names):
    assert list(read(names + "\n" + ",".join("7" * (names.count(",") + 1)) + "\n")) == names.split(",")


def test_asked_for_columns_tell_that_names_are_there():
    assert read("2014,7\n1,2\n", types={"7": "string"}) == {"2014": [1], "7": ["2"]}


@pytest.mark.parametrize("text", ["Müller", "“Été”", "Cž", "10 € \u2013 20 €", "½ L", "Ærø"])
def test_western_text_is_read_and_told(text):
    content = f"name,n\n{text},1\n".encode("windows-1252")

    assert read(content)["name"] == [text]
    assert Table(io.BytesIO(content), caps=Caps()).notes() == {"read_as": "windows-1252"}


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Jäger", "cp850"),
        ("Schöneberg", "cp850"),
        ("René", "cp850"),
        ("García", "cp850"),
        ("Müller", "mac_roman"),
        ("Straße", "mac_roman"),
        ("Café", "mac_roman"),
    ],
)
def test_old_code_pages_are_not_western_text(text, encoding):
    with pytest.raises(BadInput, match="name its encoding"):
        read(f"name,n\n{text},1\n".encode(encoding))


def test_a_named_encoding_is_obeyed_or_refused():
    assert read("имя,n\nЩит,1\n".encode("windows-1251"), encoding="windows-1251")["имя"] == ["Щит"]
    with pytest.raises(BadInput, match="row 2 is not in utf-8"):
        read(b"a,n\nM\xfcller,1\n", encoding="utf-8")


def test_short_rows_are_filled_up_and_counted(monkeypatch):
    monkeypatch.setattr(chunks, "BLOCK_BYTES", 64)
    content = "a,b,c\n" + '1,2\n3,4,5\n"x,y"\n' * 30
    table = Table(io.BytesIO(content.encode()), caps=Caps())

    assert table.notes() == {"short_rows": 60}
    assert read(content)["c"] == [None, 5, None] * 30
    assert read(content)["a"][:3] == ["1", "3", "x,y"]


def test_an_unclosed_quote_swallows_nothing():
    rows = "".join(f"{n},5\n" for n in range(2000))

    with pytest.raises(BadInput, match="row 2: a quote is not closed"):
        read('a,b\n1,"unclosed\n' + rows)
    with pytest.raises(BadInput, match="row 2: text follows a closing quote"):
        read('a,b\n1,"unclosed\n' + rows + '7,"closed"\n')
