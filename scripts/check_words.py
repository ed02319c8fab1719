"""Word list: words in texts and names that readers have not understood, each with what to write instead.

`make lint` runs it: `check_words.py [PATH...]` checks all tracked files, or only these, and exits with 1 where it finds
a word. A line may keep a word with a reason: `# words: KEPT reason` (in Markdown `<!-- words: KEPT reason -->`); in a
string of several lines, the comment follows its last line.
"""

import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

PROXIES = r"prox\w*|balancer|gateway|nginx|NAT|endpoint"
# A pattern that matches whole words, whatever their case, and what to write instead.
WORDS: dict[str, str] = {
    r"doors?": "backend, integration",
    r"rooms?": "package, module; space, quota for bytes",
    r"houses?": "layers, project",
    r"floors?(?! division)": "layer; minimum version",
    r"stands?|stood|standing": "is stored, is written, is",
    rf"behind(?! (?:a |an |the |your |such a |its )?(?:reverse |load |TLS |public )*(?:{PROXIES}))": "after, below, of",
    r"told|tells?|telling": "notified, says, returns, reports",
    r"hears?|heard|hearing": "receives, is notified of",
    r"pleads?|pleaded": "reports",
    r"in the (?:dress|clothes) of|dressed": "disguised as",
    r"graves?": "tombstone",
    r"bur(?:y|ies|ied)|burial": "write a tombstone",
    r"strangers?": "untrusted client, anyone",
    r"vouch(?:es|ed)?": "is authentic",
    r"glances?": "check, poll",
    r"word of|words of|send word|give word|early word": "notification, message, announcement",
    r"somebody|someone|whoever|nobody|everybody|everyone|anybody": "the user, the caller, a client, no process",
    r"he|him|his": "they, them, their",
    r"believ(?:es?|ed|ing)": "trust, accept",
    r"lets? go|let go of": "release, disconnect",
    r"comes? of|came of": "outcome, result",
    r"neighbou?rs?": "another client, other tenants",
    r"thrift|furnish\w*|newsroom|borrowed|tethers?|tethered": "the table of names in the style guide",
    r"impatient|patience|patient": "time limit, retry, slow client",
    r"the further power": "optional interface",
    r"powers?(?! (?:of (?:two|ten|\d+)|loss|off|supply|user))": "optional interface, capability",
    r"mischief|dull|riddle|hostility": "plain words",
    r"shall": "must, will, is to",
    r"whence|thereof|hitherto|beforehand|meanwhile": "plain words: before, during that time",
    r"by itself alone|for ever": "forever; alone",
}
# Names of code are split at `_` and capitals; only these words count there.
NAMES = re.compile(
    r"doors?|rooms?|house|floors?|told|heard|pleads?|graves?|bury|buries|buried|strangers?|vouch(?:es)?|glance|thrift"
    r"|furnish|newsroom|borrowed|tether|impatient|patience|scene|untold|believed|neighbours?|stands?|standing"
)
# The field's own uses of such a word.
ALLOWED = re.compile(
    r"\b(?:standing (?:query|order)|stand[ -]?alone|stand-in|stands? for|(?:lag|fall)s? behind|tells? apart)\b"
    r"|floor(?:ed)?\(",
    re.IGNORECASE,
)
KEPT = re.compile(r"words: KEPT \S")
CODE = re.compile(r"https?://\S+|`[^`]*`")
SUFFIXES = {".py", ".md", ".html", ".js", ".css", ".toml", ".yml", ".yaml", ".lua", ".sh", ".conf", ".example", ""}
# Histories, other people's texts, what is made from docstrings, and the two files that name the words.
SKIPPED = re.compile(
    r"^(?:changelog/|LICENSE|NOTICE|constraints|scripts/check_words\.py|tests/test_words\.py|docs/reference/"
    r"|tests/conformance/exceptions)"
)
# Paths that are not clean yet, and that a run without PATH leaves out.
PENDING: tuple[str, ...] = ()

_TEXT = re.compile("|".join(rf"(?<![\w-])(?:{pattern})(?![\w-])" for pattern in WORDS), re.IGNORECASE)


def main(paths: list[str]) -> int:
    """Print each word that is found in `paths` (all tracked files by default); return the exit code."""
    found = [line for path in _files(paths) for line in _found(path)]
    print(*found, sep="\n", end="\n" if found else "")
    print(f"{len(found)} words to replace" if found else "words: as they should be")
    return 1 if found else 0


def _files(paths: list[str]) -> Iterator[Path]:
    names = subprocess.check_output(["git", "ls-files", "-z", "--", *paths], cwd=ROOT, text=True).split("\0")
    for name in filter(None, names):
        pending = not paths and name.startswith(PENDING or ("-",))
        path = ROOT / name
        if not (SKIPPED.match(name) or pending) and path.suffix in SUFFIXES and path.is_file():
            yield path


def _found(path: Path) -> list[str]:
    try:
        return check(path.relative_to(ROOT).as_posix(), path.read_text())
    except UnicodeDecodeError:
        return []


def check(name: str, text: str) -> list[str]:
    """Return one line for each word to replace in the file `name` (its path from the root of the repository)."""
    source = name.endswith(".py")
    lines = text.splitlines()
    found = [f"{name}: the file name"] if source and _is_listed(Path(name).stem) else []
    for first, prose in _prose_of_python(text, skip_data=name.startswith("tests/")) if source else _prose(lines):
        last = first + prose.count("\n")
        for match in _TEXT.finditer(ALLOWED.sub(_blank, prose)):
            number = first + prose.count("\n", 0, match.start())
            if not KEPT.search(lines[number - 1]) and not KEPT.search(lines[last - 1]):
                found.append(f"{name}:{number}: {match[0]!r}: {_instead(match[0])}")
    if source and name.startswith(("resultstore/", "tasks/", "scripts/", "benchmarks/")):
        found += [
            f"{name}:{number}: the name {one!r}" for number, one in _names(text) if not KEPT.search(lines[number - 1])
        ]
    return found


def _prose(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Give each line with its number, without its addresses and quoted code."""
    for number, line in enumerate(lines, 1):
        yield number, CODE.sub(_blank, line)


def _prose_of_python(text: str, *, skip_data: bool) -> Iterator[tuple[int, str]]:
    """Give the comments and strings of a source file; `skip_data` leaves out strings of one word."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        quoted = token.type == tokenize.STRING or token.type == getattr(tokenize, "FSTRING_MIDDLE", -1)
        if token.type == tokenize.COMMENT or (quoted and not (skip_data and " " not in token.string)):
            yield token.start[0], CODE.sub(_blank, token.string)


def _blank(match: re.Match[str]) -> str:
    """Return as many spaces, so that what follows keeps its line."""
    return re.sub(r"[^\n]", " ", match[0])


def _names(text: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME and _is_listed(token.string):
            yield token.start[0], token.string


def _is_listed(name: str) -> bool:
    """Return whether a part of `name` is a word to replace."""
    parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_")
    return any(NAMES.fullmatch(part) for part in parts)


def _instead(word: str) -> str:
    return next(
        instead
        for pattern, instead in WORDS.items()
        if re.search(rf"(?<![\w-])(?:{pattern})(?![\w-])", word, re.IGNORECASE)
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
