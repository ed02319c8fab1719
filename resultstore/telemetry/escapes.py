"""Escapes: replaces control characters, which a terminal would obey instead of printing."""

import re
from typing import Final

# C0 and C1 controls and DEL (ECMA-48), line and paragraph separators, bidirectional controls (UAX #9), and lone
# surrogates. The joiners U+200C and U+200D are part of words and stay.
_CONTROLS: Final = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_IN_TEXT: Final = re.compile(f"[{_CONTROLS}]")
_IN_LINE: Final = re.compile(f"[{_CONTROLS}\n\t]")
_NAMED: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escape_controls(text: str) -> str:
    """Return `text` with its control characters escaped as by repr(), but with line feeds and tabs."""
    return _IN_TEXT.sub(_escaped, text)


def escape_line(text: str) -> str:
    """Return `text` on one line: with line feeds and tabs escaped too."""
    return _IN_LINE.sub(_escaped, text)


def escape_json(document: str) -> str:
    """Return an equivalent JSON document, with its control characters escaped."""
    return _IN_TEXT.sub(lambda found: f"\\u{ord(found[0]):04x}", document)


def _escaped(found: "re.Match[str]") -> str:
    code = ord(found[0])
    return _NAMED.get(found[0]) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")  # noqa: PLR2004 - as repr
