"""Escapes: shows the characters that a terminal would obey instead of printing."""

import re
from typing import Final

# C0 and C1 controls and DEL (ECMA-48), line and paragraph separators, what turns the direction of text (UAX #9), lone
# surrogates. Joiners of letters (U+200C, U+200D) are part of words and stay.
_OBEYED: Final = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_IN_TEXT: Final = re.compile(f"[{_OBEYED}]")
_IN_LINE: Final = re.compile(f"[{_OBEYED}\n\t]")
_NAMED: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escape_controls(text: str) -> str:
    """Return `text` with its control characters as Python's repr writes them; line feeds and tabs stay."""
    return _IN_TEXT.sub(_written, text)


def escape_line(text: str) -> str:
    """Return `text` on one line: `escape_controls`, and line feeds and tabs are written too."""
    return _IN_LINE.sub(_written, text)


def escape_json(document: str) -> str:
    """Return a JSON document with its control characters as JSON writes them; it means the same."""
    return _IN_TEXT.sub(lambda found: f"\\u{ord(found[0]):04x}", document)


def _written(found: "re.Match[str]") -> str:
    code = ord(found[0])
    return _NAMED.get(found[0]) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")  # noqa: PLR2004 - as repr
