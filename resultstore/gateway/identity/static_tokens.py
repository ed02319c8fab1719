"""Tokens: recognises callers by static tokens, of which a file holds the hashes."""

import time
from pathlib import Path
from typing import Final

from resultstore.gateway.identity.bearer import token_in, unknown_token
from resultstore.gateway.identity.caller import Caller
from resultstore.gateway.identity.token_file import TokenEntry, grants_in, token_hash
from resultstore.model.errors import Misconfigured
from resultstore.telemetry.logs import Log

LOOK_AGAIN_S: Final = 1.0  # how soon a new line, or one that was taken out, counts

_log = Log(__name__)


class StaticTokens:
    """Reads the file again when it has changed: a token is made or withdrawn without a restart.

    A line that is wrong counts for nothing and the others hold; a file that is gone lets nobody in.

    Args:
        path: the file; see `resultstore.gateway.identity.token_file`.

    Raises Misconfigured at the start when it cannot be read, holds nobody, or has a wrong line.
    """

    mode: Final = "tokens"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._stamp()
        self._looked_at = time.monotonic()
        grants = grants_in(path)
        for one in grants:
            if isinstance(one, Misconfigured):
                raise one
        if not grants:
            raise Misconfigured(f"the token file {path} lets nobody in: run resultstore token new")
        self._callers = _callers(grants)

    async def caller(self, authorization: str) -> Caller:
        """Whose token this is. Raises Problem 401."""
        token = token_in(authorization)
        self._look_again()
        # Looked up by its hash: what a comparison's time could tell of a hash says nothing of a 256-bit secret.
        found = self._callers.get(token_hash(token))
        if found is None:
            raise unknown_token()
        return found

    def _look_again(self) -> None:
        now = time.monotonic()
        if now - self._looked_at < LOOK_AGAIN_S:
            return
        self._looked_at = now
        if (stamp := self._stamp()) == self._seen:
            return
        self._seen = stamp
        try:
            grants = grants_in(self._path)
        except Misconfigured as error:
            _log.error("token_file_not_read", reason=str(error))
            grants = []
        for one in grants:
            if isinstance(one, Misconfigured):
                _log.error("token_line_skipped", reason=str(one))
        self._callers = _callers(grants)

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def _callers(grants: list[TokenEntry | Misconfigured]) -> dict[str, Caller]:
    return {one.sha256: Caller(one.owner, one.scopes) for one in grants if isinstance(one, TokenEntry)}
