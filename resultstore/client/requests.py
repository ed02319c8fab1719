"""GatewayRequests: HTTP requests to a gateway, repeated after temporary errors, with its problems as exceptions."""

import random
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final, NoReturn, TypeVar

import httpx
import msgspec

from resultstore.model.errors import (
    ArtifactExpired,
    ArtifactMissing,
    Refused,
    ResultMissing,
    ShareEnded,
    ShareMissing,
    TaskMissing,
    Unavailable,
    UploadIncomplete,
)

TRIES: Final = 5
TIMEOUT_S: Final = 30.0
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 20.0
_TEMPORARY: Final = frozenset({408, 429, 500, 502, 503, 504})
_ERRORS: Final[Mapping[str, type[Exception]]] = {
    "result-missing": ResultMissing,
    "artifact-missing": ArtifactMissing,
    "artifact-expired": ArtifactExpired,
    "share-missing": ShareMissing,
    "share-ended": ShareEnded,
    "task-missing": TaskMissing,
    "upload-incomplete": UploadIncomplete,
}

Answer = TypeVar("Answer")


class RequestRefused(Refused):
    """The gateway refused a request. `status` is the HTTP status, `slug` the stable name of the reason."""

    def __init__(self, detail: str, *, status: int, slug: str) -> None:
        super().__init__(detail)
        self.status = status
        self.slug = slug


class GatewayUnavailable(Unavailable):
    """The gateway or the object store did not answer, or not yet, after several tries."""


class GatewayRequests:
    """Requests to one gateway. Every request may be repeated: those that change something carry an idempotency key.

    Args:
        url: the public URL of the gateway, with its path.
        http: sends the requests.
        headers: sent with each request to the gateway, never to the object store.
    """

    def __init__(self, url: str, http: httpx.Client, headers: Mapping[str, str]) -> None:
        self._root = url.rstrip("/") + "/v1"
        self.http = http
        self.headers = dict(headers)

    def url(self, path: str) -> str:
        """Return the URL of a path below `/v1`."""
        return self._root + path

    def ask(
        self,
        method: str,
        path: str,
        answer: type[Answer],
        *,
        json: object = None,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request and return its decoded answer. Raises RequestRefused, NotThere, GatewayUnavailable."""
        response = self.send(method, path, json=json, params=params, headers=headers)
        return msgspec.json.decode(response.content, type=answer)

    def send(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send a request and return the successful response. Raises as `ask`."""
        body = {} if json is None else {"content": msgspec.json.encode(json)}
        typed = {} if json is None else {"Content-Type": "application/json"}
        sent = {**self.headers, **typed, **(headers or {})}

        def request() -> httpx.Response:
            return self.http.request(method, self.url(path), params=params, headers=sent, **body)  # type: ignore[arg-type]

        response = repeated(request, what=f"{method} {path}")
        if not response.is_success:
            raise_problem(response)
        return response


def repeated(request: Callable[[], httpx.Response], *, what: str) -> httpx.Response:
    """Send a request until it gets a lasting answer, at most `TRIES` times. Raises GatewayUnavailable.

    Args:
        request: sends it once. It must be safe to repeat.
        what: names it in the error, never with a signed URL.
    """
    reason, pause_s = "", _FIRST_PAUSE_S
    for number in range(TRIES):
        if number:
            time.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
        try:
            response = request()
        except httpx.TransportError as error:
            reason, pause_s = type(error).__name__, min(2 * pause_s, _LONGEST_PAUSE_S)
            continue
        if response.status_code not in _TEMPORARY:
            return response
        reason = f"HTTP {response.status_code}"
        pause_s = max(min(2 * pause_s, _LONGEST_PAUSE_S), _retry_after_s(response))
    raise GatewayUnavailable(f"{what} was not answered in {TRIES} tries ({reason}): try again later")


def raise_problem(response: httpx.Response) -> NoReturn:
    """Raise the exception of a gateway's problem response (RFC 9457)."""
    try:
        problem = msgspec.json.decode(response.content, type=dict[str, object])
    except msgspec.MsgspecError:
        problem = {}
    slug = str(problem.get("slug", "http-error"))
    detail = str(problem.get("detail") or f"the gateway answered with status {response.status_code}")
    if (known := _ERRORS.get(slug)) is not None:
        raise known(detail)
    raise RequestRefused(detail, status=response.status_code, slug=slug)


def _retry_after_s(response: httpx.Response) -> float:
    text = response.headers.get("retry-after", "")
    waits = response.status_code in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
    return min(float(text), _LONGEST_PAUSE_S) if waits and text.isdecimal() else 0.0
