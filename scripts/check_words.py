"""Word list: finds words in texts and names that readers have not understood, and says what to write instead.

Run by `make lint`: `check_words.py [PATH...]`; exits with 1 where a word is found. One word for one thing, and the
field's word where it has one. A line may keep a word by saying why: `# words: KEPT reason` (in Markdown
`<!-- words: KEPT reason -->`).
"""

import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

_PROXIES = r"(?:a |an |the |your |such a |its )?(?:reverse |load |TLS )*(?:prox\w*|balancer|gateway|nginx|NAT|firewall)"
# A pattern that matches whole words, whatever their case, and what to write instead.
WORDS: dict[str, str] = {
    r"doors?": "backend, integration",
    r"rooms?": "package, module; space, quota for bytes",
    r"houses?": "layers, project",
    r"floors?(?! division)": "layer; minimum version",
    r"stands?|stood|standing": "is stored, is written, is",
    rf"behind(?! {_PROXIES})": "after, below, of",
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
    r"somebody|someone|whoever|nobody|everybody|everyone|anybody": "the role: the user, a client, no process",
    r"he|him|his": "they, them, their",
    r"believ(?:es?|ed|ing)": "trust, accept",
    r"lets? go|let go of": "release, disconnect",
    r"comes? of|came of": "outcome, result",
    r"neighbou?rs?": "another client, other tenants",
    r"thrift|furnish\w*|newsroom|borrowed|tethers?|tethered": "the table of names in the style guide",
    r"impatient|patience|patient": "time limit, retry, slow client",
    r"the further power": "optional interface",
    r"powers?(?! (?:of two|of ten|loss|off|supply|user))": "optional interface, capability",
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
    r"standing (?:query|order)|standard|understand|stand-?alone|outstanding|stand-?in|stands? for|room temperature"
    r"|in other words|word list|password|key ?word|words? (?:per|wide|boundar)|word count|check_words"
    r"|floor(?:ed)?\(|math\.floor",
    re.IGNORECASE,
)
KEPT = re.compile(r"words: KEPT \S")
SUFFIXES = {".py", ".md", ".html", ".js", ".css", ".toml", ".yml", ".yaml", ".lua", ".sh", ".conf", ".example", ""}
# Histories stay as they were written; third-party text is not ours; this file names the words.
SKIPPED = re.compile(
    r"^(?:changelog/|LICENSE|NOTICE|constraints|scripts/check_words\.py|docs/reference/|tests/conformance/exceptions)"
)
PENDING: tuple[str, ...] = ()
"""Paths that are not checked yet."""

_TEXT = re.compile("|".join(rf"(?<![\w-])(?:{pattern})(?![\w-])" for pattern in WORDS), re.IGNORECASE)


def main(paths: list[str]) -> int:
    """Print each word that is found in `paths` (all tracked files by default); return the exit code."""
    found = [line for path in _files(paths) for line in _found(path)]
    print(*found, sep="\n", end="\n" if found else "")
    print(f"{len(found)} words to replace" if found else "words: as they should be")
    return 1 if found else 0


def _files(paths: list[str]) -> Iterator[Path]:
    names = subprocess.check_output(["git", "ls-files", "-z", "--", *paths], cwd=ROOT, text=True).split("\0")
    for name in names:
        pending = not paths and name.startswith(PENDING) if PENDING else False
        path = ROOT / name
        if name and not SKIPPED.match(name) and not pending and path.suffix in SUFFIXES and path.is_file():
            yield path


def _found(path: Path) -> Iterator[str]:
    try:
        text = path.read_text()
    except UnicodeDecodeError:
        return
    shown = path.relative_to(ROOT)
    lines = text.splitlines()
    for number, words in _texts(path, text):
        kept = KEPT.search(lines[number - 1]) if number <= len(lines) else None
        for match in () if kept else _TEXT.finditer(ALLOWED.sub(lambda one: "_" * len(one[0]), words)):
            yield f"{shown}:{number + words[: match.start()].count(chr(10))}: {match[0]!r}: {_instead(match[0])}"
    if path.suffix == ".py" and shown.parts[0] in {"resultstore", "tasks", "scripts", "benchmarks"}:
        for number, name in _names(text):
            if not KEPT.search(lines[number - 1]):
                yield f"{shown}:{number}: the name {name!r}"


def _texts(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Each piece of prose with the number of its first line: of Python, its strings and comments."""
    if path.suffix != ".py":
        for number, line in enumerate(text.splitlines(), 1):
            yield number, re.sub(r"https?://\S+|`[^`]*`", " ", line)
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in {tokenize.COMMENT, tokenize.STRING} or token.type == getattr(tokenize, "FSTRING_MIDDLE", -1):
            yield token.start[0], re.sub(r"https?://\S+|`[^`]*`", lambda one: " " * len(one[0]), token.string)


def _names(text: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME:
            parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", token.string).lower().split("_")
            if any(NAMES.fullmatch(part) for part in parts):
                yield token.start[0], token.string


def _instead(word: str) -> str:
    return next(
        instead
        for pattern, instead in WORDS.items()
        if re.search(rf"(?<![\w-])(?:{pattern})(?![\w-])", word, re.IGNORECASE)
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
