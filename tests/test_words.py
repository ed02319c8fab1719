"""The word list of `make lint`: finds listed words in texts and names, and keeps the lines that give a reason."""

import subprocess
from pathlib import Path

import pytest

import check_words
from check_words import PENDING, WORDS, check

ROOT = Path(__file__).resolve().parent.parent
SOURCE = '''"""Driver: stores blobs."""


def {name}():
    """{text}"""
'''


@pytest.mark.parametrize("word", ["nobody", "Whoever", "stands", "told", "hears", "for ever", "let go", "he"])
def test_listed_word_is_found(word):
    found = check("docs/guide.md", f"# Title\n\nA line with {word} in it.\n")

    assert len(found) == 1
    assert found[0].startswith(f"docs/guide.md:3: {word!r}: ")


@pytest.mark.parametrize(
    "text",
    ["a standalone proxy", "understand", "behind a reverse proxy", "`told`", "see https://host/room", "powers of 2"],
)
def test_ordinary_words_are_not_found(text):
    assert check("docs/guide.md", text) == []


def test_word_is_found_where_a_docstring_has_it():
    text = SOURCE.format(name="read", text="Read it.\n\n    Raises NotFound when nobody knows the id.\n    ")

    assert [line.split(": ")[0] for line in check("resultstore/read.py", text)] == ["resultstore/read.py:7"]


@pytest.mark.parametrize("name", ["told", "_each_told", "ToldByServer", "PATIENCE_S"])
def test_listed_name_is_found(name):
    found = check("resultstore/read.py", SOURCE.format(name=name, text="Read it."))

    assert found == [f"resultstore/read.py:4: the name {name!r}"]


def test_listed_file_name_is_found():
    assert check("tests/test_strangers.py", '"""Clients."""\n') == ["tests/test_strangers.py: the file name"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("docs/guide.md", "Nobody. <!-- words: KEPT the title of a book -->\n"),
        ("resultstore/read.py", 'user = "nobody"  # words: KEPT the account of that name\n'),
        ("resultstore/read.py", 'TEXT = """\nnobody\n"""  # words: KEPT a file of another program\n'),
        ("resultstore/read.py", "told = 1  # words: KEPT an argument of another library\n"),
    ],
)
def test_line_with_a_reason_is_kept(name, text):
    assert check(name, text) == []


def test_reason_must_not_be_empty():
    assert check("docs/guide.md", "Nobody. <!-- words: KEPT  -->\n".replace("KEPT  -->", "KEPT")) != []


def test_data_of_a_test_is_not_found():
    assert check("tests/test_read.py", 'assert owner == "nobody"\n') == []


def test_program_fails_on_a_listed_word(tmp_path, monkeypatch, capsys):
    # given
    monkeypatch.setattr(check_words, "ROOT", tmp_path)
    (tmp_path / "guide.md").write_text("Told.\n")
    (tmp_path / "other.md").write_text("Notified.\n")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)

    # then
    assert check_words.main([]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "1 words to replace"
    assert check_words.main(["other.md"]) == 0


def test_pending_paths_exist():
    assert [path for path in PENDING if not (ROOT / path).exists()] == []


def test_every_word_says_what_to_write_instead():
    assert all(WORDS.values())
