"""Tokens: the file of static tokens: who may come in, known by the hash of what he shows."""

import hashlib
import os
import re
import secrets
from pathlib import Path
from typing import Final

import msgspec

from resultstore.model.errors import Misconfigured

TOKEN_PREFIX: Final = "rst_"  # noqa: S105  so that scanners for leaked secrets can know it
SCOPES: Final[tuple[str, ...]] = ("read", "upload", "run", "delete", "admin")
# No white space, so that such an owner is never one of a JWT, which has a space behind its issuer.
_OWNER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._+-]{0,127}")
_HASH: Final = re.compile(r"sha256:([0-9a-f]{64})")


class TokenEntry(msgspec.Struct, frozen=True):
    """One line of the file: what the bearer of the token with this hash may do, and as whom."""

    sha256: str
    owner: str
    scopes: frozenset[str]
    note: str = ""

    def line(self) -> str:
        """How it stands in the file."""
        scopes = ",".join(one for one in SCOPES if one in self.scopes)
        return f"sha256:{self.sha256} {self.owner} {scopes} {self.note}".rstrip() + "\n"


def new_token() -> str:
    """256 random bits, as a client shows them. So many that a plain hash of them cannot be guessed back."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    """The hash by which a token is known (hex sha256); one that is no text has one too, which nobody is known by."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


def grant_of(line: str) -> TokenEntry:
    """The grant that a line of the file says: `sha256:<hex> <owner> <scope,scope> [note]`.

    Raises Misconfigured, naming what is wrong with it and never the line itself.
    """
    words = line.split()
    if len(words) < 3:  # noqa: PLR2004  hash, owner, scopes
        raise Misconfigured("a line of the token file is not `sha256:<hex> <owner> <scopes> [note]`")
    known = _HASH.fullmatch(words[0])
    if known is None:
        raise Misconfigured("a line of the token file does not begin with sha256: and 64 hex digits")
    return TokenEntry(known[1], checked_owner(words[1]), checked_scopes(words[2]), " ".join(words[3:]))


def checked_owner(owner: str) -> str:
    """`owner` itself. Raises Misconfigured where it is not letters, digits and `@._+-`, at most 128."""
    if not _OWNER.fullmatch(owner):
        raise Misconfigured(f"the owner {owner!a} must be letters, digits and @._+- only, at most 128")
    return owner


def checked_scopes(scopes: str) -> frozenset[str]:
    """The scopes named in a list by commas. Raises Misconfigured for one that there is not."""
    named = frozenset(scopes.split(","))
    if unknown := sorted(named - set(SCOPES)):
        raise Misconfigured(f"there is no scope {unknown[0]!a}: use {', '.join(SCOPES)}")
    return named


def grants_in(path: Path) -> list[TokenEntry | Misconfigured]:
    """What each line says, or what is wrong with it; empty lines and comments (`#`) are left out.

    Raises Misconfigured when the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"the token file {path} cannot be read: see RESULTSTORE_AUTH_TOKENS_FILE") from error
    return [_told(number, line) for number, line in enumerate(lines, 1) if line.strip() and line.strip()[0] != "#"]


def append(path: Path, grant: TokenEntry) -> None:
    """Add a line to the file; it is made, for its owner's eyes only, where there is none."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as file:
        file.write(grant.line())


def _told(number: int, line: str) -> TokenEntry | Misconfigured:
    try:
        return grant_of(line)
    except Misconfigured as wrong:
        return Misconfigured(f"line {number}: {wrong}")
