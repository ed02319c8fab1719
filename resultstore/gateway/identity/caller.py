"""Caller: who asks, and what he may do."""

import hashlib
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final, Literal, NoReturn, Protocol

import msgspec
from fastapi import Request

from resultstore.gateway.identity import token_file
from resultstore.gateway.problems import Problem
from resultstore.model.errors import BadReference, ResultMissing
from resultstore.model.result import Result
from resultstore.store import Store

Scope = Literal["read", "upload", "run", "delete", "admin"]
SCOPES: Final[frozenset[str]] = frozenset(token_file.SCOPES)
MAX_ID_CHARS: Final = 1024
_SHOWN_CHARS: Final = 100


class Caller(msgspec.Struct, frozen=True):
    """Somebody who was recognised.

    Args:
        owner: what the Results that he starts belong to; he sees those of the same owner.
        scopes: what he may do; `admin` also shows Results that have no owner.
    """

    owner: str
    scopes: frozenset[str]


class Identities(Protocol):
    """Recognises callers by their Authorization header."""

    @property
    def mode(self) -> str:
        """Its name in the settings: open, tokens or jwt."""

    async def caller(self, authorization: str) -> Caller:
        """Who sent this header ("" for none). Raises Problem 401 `unauthenticated`."""


async def identified(request: Request) -> Caller:
    """FastAPI dependency: whoever was recognised, whatever he may do."""
    identities: Identities = request.app.state.identities
    caller = await identities.caller(request.headers.get("authorization", ""))
    request.state.caller = caller
    return caller


def needs(scope: Scope) -> Callable[[Request], Awaitable[Caller]]:
    """FastAPI dependency (`Depends(needs("read"))`): a caller who has `scope`, else 401 or 403."""

    async def allowed(request: Request) -> Caller:
        caller = await identified(request)
        if scope not in caller.scopes:
            raise Problem(HTTPStatus.FORBIDDEN, "scope-missing", f"this needs a token with the scope {scope}")
        return caller

    return allowed


def visible(store: Store, caller: Caller, result_id: str) -> Result:
    """The Result, if this caller may see it. The one way in which the gateway looks anything up.

    Raises ResultMissing, the same for a foreign id as for an unknown one.
    """
    try:
        found = store.load(result_id) if len(result_id) <= MAX_ID_CHARS else None
    except BadReference:  # somebody else has written its record: as good as none
        found = None
    if found is not None and not may_see(caller, found):
        look_elsewhere(store, result_id)
    return shown(caller, found) or missing(result_id)


def look_elsewhere(store: Store, result_id: str) -> None:
    """Look up an id that nobody has, after a foreign one was found: so that this takes as long as for an unknown one.

    For an unknown id the index and the object store are asked. The same foreign id asks for the same other one, so that
    what is remembered of unknown ids is remembered of it too.
    """
    store.load("none-" + hashlib.sha256(result_id.encode(errors="surrogatepass")).hexdigest()[:32])


def shown(caller: Caller, found: Result | None) -> Result | None:
    """What was found, if this caller may see it."""
    return found if found is not None and may_see(caller, found) else None


def missing(result_id: str) -> NoReturn:
    """Raise ResultMissing: the same words whether an id is foreign or unknown."""
    raise ResultMissing(f"no result is known under the id {short(result_id)}")


def may_see(caller: Caller, result: Result) -> bool:
    """Whether it is his own; one that nobody owns is for `admin`."""
    return result.owner == caller.owner if result.owner else "admin" in caller.scopes


def short(name: str) -> str:
    """A stranger's word as a message may carry it: in ASCII, and not at any length."""
    return ascii(name if len(name) <= _SHOWN_CHARS else name[:_SHOWN_CHARS] + "...")
