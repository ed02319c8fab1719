"""Names of Artifacts, uploads and downloads: which characters they may hold."""

import re
from typing import Final

NAME_MAX_CHARS: Final = 255

# Controls, line and paragraph separators, surrogates, and explicit bidirectional formatting (Unicode Standard Annex 9),
# which can disguise a file's suffix. Other spaces, the joiners that Persian, Hindi and emoji need, and characters
# that this Python's Unicode table does not know are allowed.
_HARMFUL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# Type and subtype are restricted names (RFC 6838 section 4.2). A parameter is `token=token`, or `token="..."`: anything
# else could end the type in a header, and start another one that a browser follows.
_RESTRICTED: Final = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_WORD: Final = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_PARAMETER: Final = rf'{_WORD}=(?:{_WORD}|"[ !#-\[\]-~]*")'
_MEDIA_TYPE: Final = re.compile(rf"(?=[^;]*(?:;.{{0,200}})?\Z){_RESTRICTED}/{_RESTRICTED}(?:; *(?:{_PARAMETER} *)?)*\Z")
_SLASHES: Final = re.compile(r"[/\\]")


def is_harmful(char: str) -> bool:
    """Return whether a name must not hold this character."""
    return _HARMFUL.match(char) is not None


def replace_harmful(name: str, *, instead: str = "") -> str:
    """Return `name` with each harmful character replaced by `instead`."""
    return _HARMFUL.sub(instead, name)


def is_artifact_name(name: str) -> bool:
    """Return whether an Artifact can have this name: 1 to 255 harmless characters, no slash, not `.` or `..`."""
    fits = 1 <= len(name) <= NAME_MAX_CHARS and name not in {".", ".."}
    return fits and not _HARMFUL.search(name) and not _SLASHES.search(name)


def is_media_type(text: str) -> bool:
    """Return whether this is one media type, `type/subtype` with parameters (RFC 9110), safe in an HTTP header."""
    return _MEDIA_TYPE.match(text) is not None


def artifact_name_of(file_name: str) -> str:
    """Return a valid Artifact name made from a file's name; "" if nothing of it is left."""
    name = _SLASHES.sub("_", replace_harmful(file_name, instead="_"))
    return "" if name in {".", ".."} else name[-NAME_MAX_CHARS:]
