"""ScriptSource: a Noto font that has the characters of a script which the report's own typeface lacks."""

import functools
from collections.abc import Iterable, Iterator
from importlib.resources import as_file, files
from typing import Final

import msgspec
import uharfbuzz

# In the order in which they are asked. Their licence is SIL OFL 1.1.
_PACKAGE: Final = "manimgx_fonts"
_SCRIPTS: Final = (
    "Sans",
    *("SansArabic", "SansHebrew", "SansDevanagari", "SansBengali", "SansTamil", "SansTelugu", "SansKannada"),
    *("SansMalayalam", "SansGujarati", "SansGurmukhi", "SansOriya", "SansSinhala", "SansThai", "SansLao", "SansKhmer"),
    *("SansMyanmar", "SansEthiopic", "SansGeorgian", "SansArmenian", "SansSymbols", "Emoji"),
)
_CJK_PACKAGE: Final = "manimgx_fonts_cjk"
_CJK_FILE: Final = "NotoSansCJK-VF.otf.ttc"
_REGULAR: Final = {"wght": 400.0}
_KANA: Final = range(0x3040, 0x3100)
_HANGUL: Final = range(0xAC00, 0xD7A4)
# Regional forms of the same characters, by their number in the collection.
_JAPANESE, _KOREAN, _CHINESE = 0, 1, 2


class ScriptSource(msgspec.Struct, frozen=True, eq=False):
    """One font: its name, HarfBuzz's view of it, its characters, and whether its curves are cubic."""

    name: str
    font: uharfbuzz.Font
    characters: frozenset[int]
    is_cubic: bool = False

    @property
    def units(self) -> int:
        """Units of the font's design in the font size."""
        return int(self.font.face.upem)


def sources_for(characters: Iterable[str]) -> Iterator[ScriptSource]:
    """Yield the fonts to ask for these characters, in order; the large one of Chinese, Japanese and Korean last."""
    for script in _SCRIPTS:
        yield _source(f"Noto{script}[wght].ttf")
    yield _cjk_source(_region({ord(one) for one in characters}))


@functools.cache
def _source(file_name: str) -> ScriptSource:
    with as_file(files(_PACKAGE).joinpath(file_name)) as path:
        face = uharfbuzz.Face(uharfbuzz.Blob.from_file_path(path))
    return ScriptSource(file_name.partition("[")[0], uharfbuzz.Font(face), frozenset(face.unicodes))


@functools.cache
def _cjk_source(region: int) -> ScriptSource:
    with as_file(files(_CJK_PACKAGE).joinpath(_CJK_FILE)) as path:
        face = uharfbuzz.Face(uharfbuzz.Blob.from_file_path(path), region)
    font = uharfbuzz.Font(face)
    font.set_variations(_REGULAR)
    return ScriptSource(f"NotoSansCJK-{region}", font, frozenset(face.unicodes), is_cubic=True)


def _region(codes: set[int]) -> int:
    """Return the regional forms to use: Japanese where there is kana, Korean where there is Hangul, else Chinese."""
    if any(code in _KANA for code in codes):
        return _JAPANESE
    return _KOREAN if any(code in _HANGUL for code in codes) else _CHINESE
