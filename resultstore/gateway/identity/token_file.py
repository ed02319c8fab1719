"""The file of static tokens: one line per token, with its hash, owner and scopes."""

import hashlib
import os
import re
import secrets
from pathlib import Path
from typing import Final

import msgspec

from resultstore.model.errors import Misconfigured

TOKEN_PREFIX: Final = "rst_"  # noqa: S105  so that secret scanners recognise a leaked token
SCOPES: Final[tuple[str, ...]] = ("read", "upload", "run", "delete", "share", "admin")
# No white space, so that it never equals the owner of a JWT, which contains a space.
_OWNER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._+-]{0,127}")
_HASH: Final = re.compile(r"sha256:([0-9a-f]{64})")


class TokenEntry(msgspec.Struct, frozen=True):
    """One line of the file: the owner and the scopes of the token with this hash."""

    sha256: str
    owner: str
    scopes: frozenset[str]
    note: str = ""

    def line(self) -> str:
        """Return the entry as a line of the file."""
        scopes = ",".join(one for one in SCOPES if one in self.scopes)
        return f"sha256:{self.sha256} {self.owner} {scopes} {self.note}".rstrip() + "\n"


def new_token() -> str:
    """Return a new token of 256 random bits, enough for an unsalted hash to be safe."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    """Return the sha256 (hex) of a token; invalid Unicode gives a hash too, which no entry has."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


def parse_line(line: str) -> TokenEntry:
    """Parse a line of the file: `sha256:<hex> <owner> <scope,scope> [note]`.

    Raises Misconfigured that names the mistake without quoting the line.
    """
    fields = line.split()
    if len(fields) < 3:  # noqa: PLR2004  hash, owner, scopes
        raise Misconfigured("a line of the token file must be `sha256:<hex> <owner> <scopes> [note]`")
    known = _HASH.fullmatch(fields[0])
    if known is None:
        raise Misconfigured("a line of the token file must begin with `sha256:` and 64 hex digits")
    return TokenEntry(known[1], check_owner(fields[1]), check_scopes(fields[2]), " ".join(fields[3:]))


def check_owner(owner: str) -> str:
    """Return `owner`. Raises Misconfigured unless it is at most 128 letters, digits and `@._+-`."""
    if not _OWNER.fullmatch(owner):
        raise Misconfigured(f"the owner {owner!a} must consist of at most 128 letters, digits and @._+-")
    return owner


def check_scopes(scopes: str) -> frozenset[str]:
    """Return the scopes of a comma-separated list. Raises Misconfigured for an unknown one."""
    named = frozenset(scopes.split(","))
    if unknown := sorted(named - set(SCOPES)):
        raise Misconfigured(f"unknown scope {unknown[0]!a}: use {', '.join(SCOPES)}")
    return named


def read_entries(path: Path) -> list[TokenEntry | Misconfigured]:
    """Return the entry of each line, or the error of an invalid one; empty lines and comments (`#`) are skipped.

    Raises Misconfigured when the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"the token file {path} cannot be read: check RESULTSTORE_AUTH_TOKENS_FILE") from error
    return [_parse(number, line) for number, line in enumerate(lines, 1) if line.strip() and line.strip()[0] != "#"]


def append_entry(path: Path, entry: TokenEntry) -> None:
    """Append a line to the file; create the file, readable by its owner only, if there is none."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as file:
        file.write(entry.line())


def _parse(number: int, line: str) -> TokenEntry | Misconfigured:
    try:
        return parse_line(line)
    except Misconfigured as error:
        return Misconfigured(f"line {number}: {error}")
