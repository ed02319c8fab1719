"""Authenticators: how the gateway learns the caller of a request, from a header or from an application."""

import inspect
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from anyio import to_thread
from fastapi import Request
from starlette.exceptions import HTTPException

from resultstore.gateway.identity.bearer import unauthenticated
from resultstore.gateway.identity.caller import MAX_ID_CHARS, SCOPES, Authenticator, Caller, Identities
from resultstore.gateway.problems import Problem

APPLICATION_MODE: Final = "application"

_REFUSING: Final = frozenset(one.value for one in HTTPStatus if one >= HTTPStatus.MULTIPLE_CHOICES)

Identify = Callable[[Request], Caller | Awaitable[Caller | None] | None]
"""An application's own authentication: returns the Caller of a request, or None. Synchronous or a coroutine."""


def by_header(identities: Identities) -> Authenticator:
    """Return an authenticator by the Authorization header."""

    async def authenticate(request: Request) -> Caller:
        return await identities.caller(request.headers.get("authorization", ""))

    return authenticate


def by_application(identify: Identify) -> Authenticator:
    """Return an authenticator that asks `identify`; a synchronous function runs in a thread, since it may do I/O.

    The authenticator raises Problem 401 for None, the status of an HTTPException from 300 to 599, else TypeError.
    """
    is_coroutine = inspect.iscoroutinefunction(identify) or inspect.iscoroutinefunction(
        getattr(identify, "__call__", None)  # noqa: B004 - an object whose __call__ is a coroutine function
    )

    async def authenticate(request: Request) -> Caller:
        try:
            found = identify(request) if is_coroutine else await to_thread.run_sync(identify, request)
            caller = await found if inspect.isawaitable(found) else found
        except HTTPException as error:  # as FastAPI's dependencies raise it; `FastPath` runs outside its handlers
            raise _refusal(error) from None
        if caller is None:
            raise unauthenticated("sign in first: the request has no valid session", challenge="Session")
        return _checked(caller)

    return authenticate


def _refusal(error: HTTPException) -> Problem:
    """Return the refusal that the application raised. Raises TypeError for a status that refuses nothing."""
    status = error.status_code
    if status not in _REFUSING:
        raise TypeError(
            f"identify must raise HTTPException with a status of 300 to 599 that HTTP defines, not {status}"
        )
    slug = "unauthenticated" if status == HTTPStatus.UNAUTHORIZED else "http-error"
    return Problem(HTTPStatus(status), slug, str(error.detail), headers=dict(error.headers or {}))


def _checked(caller: object) -> Caller:
    """Return the caller with its scopes as a frozenset. Raises TypeError for a value that is no valid Caller."""
    if not isinstance(caller, Caller):
        raise TypeError(f"identify must return a Caller or None, not {type(caller).__name__}")
    owner, scopes = caller.owner, caller.scopes
    if not isinstance(owner, str) or not owner.isprintable() or not 0 < len(owner) <= MAX_ID_CHARS:
        raise TypeError(
            f"identify must return a Caller whose owner is printable text of 1 to {MAX_ID_CHARS} characters"
        )
    if isinstance(scopes, str) or not frozenset(scopes) <= SCOPES:
        raise TypeError(f"identify must return a Caller whose scopes are a set of {', '.join(sorted(SCOPES))}")
    return Caller(owner, frozenset(scopes))
