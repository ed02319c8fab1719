"""Reports in any script: the text can be read, searched and copied, and looks as another engine draws it."""

import io
import unicodedata
from importlib.resources import files

import bidi
import numpy as np
import pypdfium2
import pytest
import pyvips
from hypothesis import given, settings, strategies as st
from reportlab.pdfgen.canvas import Canvas

from resultstore import BadInput
from resultstore_tasks.report import lettering as letters, script_font, task as pdf
from resultstore_tasks.report.bidi_order import in_visual_order, levels_of
from resultstore_tasks.report.cover import CoverLabels
from resultstore_tasks.report.lettering import BODY, Lettering, draw_runs

NOTO, CJK = files("manimgx_fonts"), files("manimgx_fonts_cjk")
SCRIPTS = {
    "arabic": ("السلام عليكم", NOTO / "NotoSansArabic[wght].ttf", "Noto Sans Arabic"),
    "persian": ("نمی‌خواهم گچپژ", NOTO / "NotoSansArabic[wght].ttf", "Noto Sans Arabic"),
    "vocalised": ("مُحَمَّد", NOTO / "NotoSansArabic[wght].ttf", "Noto Sans Arabic"),
    "hebrew": ("שלום עולם", NOTO / "NotoSansHebrew[wght].ttf", "Noto Sans Hebrew"),
    "japanese": ("東京タワーと日本語", CJK / "NotoSansCJK-VF.otf.ttc", "Noto Sans CJK JP"),
    "korean": ("안녕하세요 한국어", CJK / "NotoSansCJK-VF.otf.ttc", "Noto Sans CJK KR"),
    "chinese": ("简体中文测试", CJK / "NotoSansCJK-VF.otf.ttc", "Noto Sans CJK SC"),
    "emoji": ("😀👍🏽👩‍👩‍👧🎉", NOTO / "NotoEmoji[wght].ttf", "Noto Emoji"),
    "thai": ("ภาษาไทย", NOTO / "NotoSansThai[wght].ttf", "Noto Sans Thai"),
    "hindi": ("हिन्दी देवनागरी", NOTO / "NotoSansDevanagari[wght].ttf", "Noto Sans Devanagari"),
}
UNPRINTED = dict.fromkeys(map(ord, "\u200c\ufe0f"))  # a reader of a PDF may leave them out
SAME = 0.8  # intersection over union of the ink; another text of the same script has about 0.3


def table_of(text):
    return f'name,n\n"{text}",1\n"{text} 12",2\nplain,3\n'.encode()


def report_of(text):
    out = io.BytesIO()
    pdf.write(pdf.facts_of(io.BytesIO(table_of(text))), out, labels=CoverLabels(title=text, source="a.csv"))
    return out.getvalue()


def text_of(document):
    with pypdfium2.PdfDocument(document) as opened:
        pages = [page.get_textpage().get_text_bounded() for page in opened]
    return unicodedata.normalize("NFC", "\n".join(pages)).translate(UNPRINTED)


@pytest.mark.parametrize("script", SCRIPTS)
def test_text_of_any_script_can_be_copied(script):
    text = SCRIPTS[script][0]
    lettering = Lettering([text])

    found = text_of(report_of(text))

    assert lettering.missing == []
    assert found.replace(" ", "").count(text.translate(UNPRINTED).replace(" ", "")) >= 3, found
    assert "boxes" not in found


def test_emoji_between_right_to_left_words_are_reversed():
    lettering = Lettering(["א😀🎉ב"])
    order = {shown: lettering.runs(shown, BODY)[0].characters for shown in "א😀🎉ב"}

    drawn = "".join(run.characters for run in lettering.runs("א😀🎉ב", BODY))

    assert drawn == "".join(order[one] for one in "ב🎉😀א")


@pytest.mark.parametrize("script", SCRIPTS)
def test_glyphs_look_as_pango_draws_them(script):
    text, file, family = SCRIPTS[script]
    text = max(text.split(), key=len)  # a space between words is that of our own typeface
    drawn = io.BytesIO()
    canvas = Canvas(drawn, pagesize=(900, 120))
    draw_runs(canvas, 20, 40, Lettering([text]).runs(text, BODY), size=48)
    canvas.save()

    with pypdfium2.PdfDocument(drawn.getvalue()) as opened:
        ours = 255 - np.asarray(opened[0].render(scale=2, grayscale=True).to_pil())
    theirs = pyvips.Image.text(text, font=f"{family} 48", fontfile=str(file), dpi=144)

    assert overlap(inked(ours), inked(theirs.numpy())) > SAME


def test_another_word_does_not_look_the_same():
    one, other = (
        pyvips.Image.text(text, font="Noto Sans Arabic 48", fontfile=str(SCRIPTS["arabic"][1]), dpi=144).numpy()
        for text in ("السلام عليكم", "عليكم السلام")
    )

    assert overlap(inked(one), inked(other)) < SAME / 2


def inked(picture):
    """Return the picture cut to its ink, as booleans."""
    ink = picture > 100
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def overlap(one, other):
    """Return the share of the ink that two pictures of one size have in common."""
    shape = (other.shape[1] / one.shape[1], other.shape[0] / one.shape[0])
    scaled = pyvips.Image.new_from_array((one * 255).astype(np.uint8)).resize(shape[0], vscale=shape[1])
    ours = scaled.numpy()[: other.shape[0], : other.shape[1]] > 100
    other = other[: ours.shape[0], : ours.shape[1]]
    return (ours & other).sum() / (ours | other).sum()


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab אבג ابج 12 ()[].,", min_size=1, max_size=14))
def test_order_of_mixed_directions_is_unicodes(text):
    levels = levels_of(text)
    runs, start = [], 0
    for end in range(1, len(text) + 1):
        if end == len(text) or levels[end] != levels[start]:
            piece = text[start:end]
            runs.append((levels[start], piece[::-1] if levels[start] % 2 else piece))  # get_display does not mirror
            start = end

    assert "".join(in_visual_order(runs)) == bidi.get_display(text)


def test_the_same_report_has_the_same_bytes():
    assert report_of("東京 مرحبا 😀") == report_of("東京 مرحبا 😀")


def test_without_the_fonts_the_cover_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(letters, "_FONTS_EXTRA", ("no_such_fonts",))

    found = " ".join(text_of(report_of("日本")).split())

    assert "no font of this worker has, shown as boxes: U+65E5 U+672C." in found
    assert "Install resultstore[fonts] on the worker to print them." in found


def test_cut_text_keeps_within_its_width():
    text = "東京タワーと日本語" * 30
    lettering = Lettering([text])

    cut = lettering.fitted(text, 100, size=9)

    assert cut.endswith("…")
    assert 85 < lettering.width(cut, size=9) <= 100


def test_many_characters_cost_bounded_time(measured):
    imports = """
import io
from resultstore_tasks.report import task as pdf
from resultstore_tasks.report.cover import CoverLabels
"""
    body = """
cells = ["".join(chr(0x4E00 + (n * 20 + m) % 3000) for m in range(20)) for n in range(1500)]
content = "name,n" + chr(10) + "".join(f"{cell},{n}" + chr(10) for n, cell in enumerate(cells))
said = pdf.write(pdf.facts_of(io.BytesIO(content.encode())), io.BytesIO(), labels=CoverLabels(title="x", source="y"))
"""
    spent = measured(imports, body)

    assert spent["said"] > 20
    assert spent["cpu_s"] < 60
    assert spent["growth_mib"] < 300


def test_too_many_letter_forms_are_refused_with_reason(monkeypatch):
    monkeypatch.setattr(script_font, "_PRIVATE", range(0xE000, 0xE005))  # a table with 6,400 would be of 10 MB

    with pytest.raises(BadInput, match="over 5 rare characters and letter forms"):
        report_of(SCRIPTS["arabic"][0])
