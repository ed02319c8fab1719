"""Bearer: the token in an Authorization header (RFC 6750), and the answer to whoever sends none that is known."""

from http import HTTPStatus
from typing import Final

from resultstore.gateway.problems import Problem

MAX_TOKEN_CHARS: Final = 8192


def token_in(authorization: str) -> str:
    """The token that was sent; raises Problem 401 when none was."""
    scheme, _, token = authorization.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN_CHARS:
        raise unauthenticated("send a token: Authorization: Bearer <token>", challenge="Bearer")
    return token


def unknown_token() -> Problem:
    """The answer to any token that does not hold, whatever is wrong with it: the log says what."""
    return unauthenticated("this token is not, or no longer, one of ours", challenge='Bearer error="invalid_token"')


def unauthenticated(detail: str, *, challenge: str) -> Problem:
    """401, with what to do about it."""
    return Problem(HTTPStatus.UNAUTHORIZED, "unauthenticated", detail, headers={"WWW-Authenticate": challenge})
