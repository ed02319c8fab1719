"""Names: which characters may be in a name that people see, of an Artifact, an upload or a download."""

import re
from typing import Final

NAME_MAX_CHARS: Final = 255

# Controls, line and paragraph separators, surrogates; and what turns the direction of text around (Unicode Standard
# Annex 9, explicit formatting), which disguises an ending. Every other space and the joiners that Persian, Hindi and
# emoji need are kept, and so is what this Python's Unicode table does not know yet.
_HARMFUL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SLASHES: Final = re.compile(r"[/\\]")


def is_harmful(char: str) -> bool:
    """Whether this character must not be in a name that is shown."""
    return _HARMFUL.match(char) is not None


def replace_harmful(name: str, *, instead: str = "") -> str:
    """`name` with `instead` in place of each character that must not be shown."""
    return _HARMFUL.sub(instead, name)


def is_artifact_name(name: str) -> bool:
    """Whether `name` can name an Artifact: 1 to 255 characters that may be shown, no slash, not `.` or `..`."""
    fits = 1 <= len(name) <= NAME_MAX_CHARS and name not in {".", ".."}
    return fits and not _HARMFUL.search(name) and not _SLASHES.search(name)


def artifact_name_of(file_name: str) -> str:
    """The nearest name that an Artifact can have to that of a file; "" where nothing of it is left."""
    name = _SLASHES.sub("_", replace_harmful(file_name, instead="_"))
    return "" if name in {".", ".."} else name[-NAME_MAX_CHARS:]
