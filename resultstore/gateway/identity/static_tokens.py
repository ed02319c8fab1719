"""StaticTokens: authenticates callers by static tokens, whose hashes are in a file."""

import time
from pathlib import Path
from typing import Final

from resultstore.gateway.identity.bearer import token_in, unknown_token
from resultstore.gateway.identity.caller import Caller
from resultstore.gateway.identity.token_file import TokenEntry, read_entries, token_hash
from resultstore.model.errors import Misconfigured
from resultstore.telemetry.logs import Log

RELOAD_CHECK_S: Final = 1.0  # how often the file is checked for changes

_log = Log(__name__)


class StaticTokens:
    """Reloads the file when it has changed, so that tokens are added and revoked without a restart.

    After the start, an invalid line is skipped, and a missing file refuses every token.

    Args:
        path: the file; see `resultstore.gateway.identity.token_file`.

    Raises Misconfigured at the start if the file cannot be read, holds no token, or has an invalid line.
    """

    mode: Final = "tokens"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._stamp()
        self._checked_at = time.monotonic()
        entries = read_entries(path)
        for one in entries:
            if isinstance(one, Misconfigured):
                raise one
        if not entries:
            raise Misconfigured(f"the token file {path} holds no token: run `resultstore token new`")
        self._callers = _callers(entries)

    async def caller(self, authorization: str) -> Caller:
        """Return the caller to whom the token belongs. Raises Problem 401."""
        token = token_in(authorization)
        self._reload_if_changed()
        # Looked up by its hash: the timing of comparing hashes reveals nothing about a 256-bit secret.
        found = self._callers.get(token_hash(token))
        if found is None:
            raise unknown_token()
        return found

    def _reload_if_changed(self) -> None:
        now = time.monotonic()
        if now - self._checked_at < RELOAD_CHECK_S:
            return
        self._checked_at = now
        if (stamp := self._stamp()) == self._seen:
            return
        self._seen = stamp
        try:
            entries = read_entries(self._path)
        except Misconfigured as error:
            _log.error("token_file_not_read", reason=str(error), effect="every token is refused")
            entries = []
        for one in entries:
            if isinstance(one, Misconfigured):
                _log.error("token_line_skipped", reason=str(one))
        self._callers = _callers(entries)

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def _callers(entries: list[TokenEntry | Misconfigured]) -> dict[str, Caller]:
    return {one.sha256: Caller(one.owner, one.scopes) for one in entries if isinstance(one, TokenEntry)}
