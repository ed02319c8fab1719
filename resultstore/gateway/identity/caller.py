"""Caller: the authenticated client of a request, its scopes, and the Results that it may see."""

import hashlib
from collections.abc import Awaitable, Callable, Set as AbstractSet
from http import HTTPStatus
from typing import Final, Literal, NoReturn, Protocol

import msgspec
from fastapi import Request

from resultstore.gateway.identity import token_file
from resultstore.gateway.problems import Problem
from resultstore.model.errors import BadReference, ResultMissing
from resultstore.model.result import Result
from resultstore.store import Store

Scope = Literal["read", "upload", "run", "delete", "share", "admin"]
SCOPES: Final[frozenset[str]] = frozenset(token_file.SCOPES)
MAX_ID_CHARS: Final = 1024
_SHOWN_CHARS: Final = 100


class Caller(msgspec.Struct, frozen=True):
    """An authenticated client.

    Args:
        owner: the owner of the Results that the caller starts; the caller sees the Results of this owner.
        scopes: what the caller may do: read, upload, run, delete, share, admin. `admin` also shows Results without an
            owner.
    """

    owner: str
    scopes: AbstractSet[str]


class Identities(Protocol):
    """Authenticates callers by their Authorization header."""

    @property
    def mode(self) -> str:
        """The value of `RESULTSTORE_AUTH`: open, tokens or jwt."""

    async def caller(self, authorization: str) -> Caller:
        """Return the caller that sent this header ("" if missing). Raises Problem 401 `unauthenticated`."""


Authenticator = Callable[[Request], Awaitable[Caller]]
"""Returns the caller of a request. Raises Problem 401 `unauthenticated`."""


async def identify(request: Request) -> Caller:
    """FastAPI dependency: return the authenticated caller, with any scopes."""
    authenticate: Authenticator = request.app.state.authenticate
    caller = await authenticate(request)
    request.state.caller = caller
    return caller


def needs(scope: Scope) -> Callable[[Request], Awaitable[Caller]]:
    """Return a FastAPI dependency (`Depends(needs("read"))`): a caller with `scope`, else Problem 401 or 403."""

    async def allowed(request: Request) -> Caller:
        caller = await identify(request)
        if scope not in caller.scopes:
            raise Problem(HTTPStatus.FORBIDDEN, "scope-missing", f"this request needs the scope {scope}")
        return caller

    return allowed


def load_visible(store: Store, caller: Caller, result_id: str) -> Result:
    """Return the Result if the caller may see it. Every lookup of the gateway ends here or in `LookupBatcher`.

    Raises the same ResultMissing for another owner's id as for an unknown id.
    """
    try:
        found = store.load(result_id) if len(result_id) <= MAX_ID_CHARS else None
    except BadReference:  # the record is forged: treated as missing
        found = None
    if found is not None and not may_see(caller, found):
        load_decoy(store, result_id)
    return if_visible(caller, found) or raise_missing(result_id)


def load_decoy(store: Store, result_id: str) -> None:
    """Look up an id that does not exist, so that another owner's id takes as long as an unknown one.

    An unknown id is looked up in the index and in the object store. The decoy is derived from the foreign id, so that
    caches of unknown ids treat both alike.
    """
    store.load("none-" + hashlib.sha256(result_id.encode(errors="surrogatepass")).hexdigest()[:32])


def if_visible(caller: Caller, found: Result | None) -> Result | None:
    """Return `found` if the caller may see it, else None."""
    return found if found is not None and may_see(caller, found) else None


def raise_missing(result_id: str) -> NoReturn:
    """Raise ResultMissing, with the same message whether the id is unknown or belongs to another owner."""
    raise ResultMissing(f"no result is known under the id {shorten(result_id)}")


def may_see(caller: Caller, result: Result) -> bool:
    """Return True for the caller's own Results, and with the scope `admin` for Results without an owner."""
    return result.owner == caller.owner if result.owner else "admin" in caller.scopes


def shorten(name: str) -> str:
    """Return untrusted text in a form that is safe in a message: quoted ASCII of limited length."""
    return ascii(name if len(name) <= _SHOWN_CHARS else name[:_SHOWN_CHARS] + "...")
