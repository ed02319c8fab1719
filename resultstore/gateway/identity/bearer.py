"""The bearer token in an Authorization header (RFC 6750), and the 401 responses."""

from http import HTTPStatus
from typing import Final

from resultstore.gateway.problems import Problem

MAX_TOKEN_CHARS: Final = 8192


def token_in(authorization: str) -> str:
    """Return the token of the header. Raises Problem 401 if there is none."""
    scheme, _, token = authorization.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN_CHARS:
        raise unauthenticated("send a token: Authorization: Bearer <token>", challenge="Bearer")
    return token


def unknown_token() -> Problem:
    """Return the 401 for any invalid token; the reason is only logged."""
    return unauthenticated("this token is unknown or has expired", challenge='Bearer error="invalid_token"')


def unauthenticated(detail: str, *, challenge: str) -> Problem:
    """Return a 401 with its challenge."""
    return Problem(HTTPStatus.UNAUTHORIZED, "unauthenticated", detail, headers={"WWW-Authenticate": challenge})
