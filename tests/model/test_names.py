"""Names: every script keeps its characters, and no name disguises its suffix."""

import pytest

from resultstore.blobs.disposition import safe_file_name
from resultstore.model.names import artifact_name_of, is_artifact_name
from resultstore.uploads.issuing import file_name

KEPT = [
    "report.pdf",
    "Screenshot 2026-01-02 at 3.04.05\u202fPM.png",
    "a\u00a0b.txt",
    "\u8cc7\u6599\u3000\u4e00.pdf",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645.pdf",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467.png",
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f.png",
    "\u05d0\u200f\u05d1.txt",
    "not assigned yet \U0001fbff.png",
    "private \ue000.png",
    "x" * 255,
]
HARMFUL = [
    *(chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))),
    *"\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ud800\udc80\udfff",
]


@pytest.mark.parametrize("name", KEPT, ids=ascii)
def test_characters_of_every_script_are_kept(name: str):
    assert is_artifact_name(name)
    assert artifact_name_of(name) == file_name(name) == name
    assert safe_file_name(name) == name[:150]


@pytest.mark.parametrize("char", HARMFUL, ids=ascii)
def test_harmful_characters_are_in_no_name(char: str):
    name = f"invoice{char}fdp.exe"

    assert not is_artifact_name(name)
    assert artifact_name_of(name) == safe_file_name(name) == "invoice_fdp.exe"
    assert file_name(name) == "invoicefdp.exe"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "x" * 256])
def test_paths_and_long_texts_name_nothing(name: str):
    assert not is_artifact_name(name)


@pytest.mark.parametrize(
    ("said", "made"),
    [("..", ""), (".", ""), ("", ""), ("a\\b\n.txt", "a_b_.txt"), ("x" * 300 + ".txt", "x" * 251 + ".txt")],
)
def test_name_of_a_file_is_made_fit(said: str, made: str):
    assert artifact_name_of(said) == made
