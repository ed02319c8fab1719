"""Problems: every error of the gateway as RFC 9457 problem+json with a stable slug."""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from resultstore.model.errors import (
    AddressRefused,
    ArtifactExpired,
    ArtifactMissing,
    BadInput,
    BadReference,
    BlobMissing,
    CommitUnknown,
    Damaged,
    NotThere,
    NotYours,
    Refused,
    ResultMissing,
    ResultStoreError,
    ShareEnded,
    ShareMissing,
    TaskMissing,
    TooLarge,
    Unavailable,
    UploadIncomplete,
    WrongType,
)
from resultstore.telemetry.logs import Log

PROBLEM_JSON = "application/problem+json"
TYPE_PREFIX = "urn:resultstore:problem:"
RETRY_AFTER_S = 2

_log = Log(__name__)

# From the special to the general: the first class that matches names the problem. With a detail of "", the client gets
# the error's own message; the messages of the others may name keys, endpoints or owners and are not shown.
_PROBLEMS: tuple[tuple[type[ResultStoreError], str, HTTPStatus, str], ...] = (
    (ResultMissing, "result-missing", HTTPStatus.NOT_FOUND, ""),
    (ArtifactMissing, "artifact-missing", HTTPStatus.NOT_FOUND, ""),
    (ArtifactExpired, "artifact-expired", HTTPStatus.GONE, ""),
    (ShareMissing, "share-missing", HTTPStatus.NOT_FOUND, ""),
    (ShareEnded, "share-ended", HTTPStatus.GONE, ""),
    (BlobMissing, "artifact-gone", HTTPStatus.GONE, "the object store no longer holds the bytes; run the task again"),
    (TaskMissing, "task-missing", HTTPStatus.NOT_FOUND, ""),
    (NotThere, "not-there", HTTPStatus.NOT_FOUND, "nothing exists under this name"),
    (NotYours, "result-missing", HTTPStatus.NOT_FOUND, "no result is known under this id"),
    (BadReference, "result-missing", HTTPStatus.NOT_FOUND, "no result is known under this id"),
    (UploadIncomplete, "upload-incomplete", HTTPStatus.CONFLICT, ""),
    (TooLarge, "too-large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, ""),
    (WrongType, "wrong-type", HTTPStatus.UNSUPPORTED_MEDIA_TYPE, ""),
    (BadInput, "invalid-request", HTTPStatus.UNPROCESSABLE_ENTITY, ""),
    (AddressRefused, "address-refused", HTTPStatus.UNPROCESSABLE_ENTITY, ""),
    (Refused, "refused", HTTPStatus.UNPROCESSABLE_ENTITY, "the request is valid, but the store refuses it"),
    (
        Damaged,
        "damaged",
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "the stored data is damaged or was changed; run the task again",
    ),
    (
        Unavailable,
        "unavailable",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "a server that the gateway needs does not answer; try again",
    ),
    (CommitUnknown, "commit-unknown", HTTPStatus.SERVICE_UNAVAILABLE, "the outcome is not known yet; try again"),
)
_SLUG_OF_STATUS = {
    HTTPStatus.NOT_FOUND: "no-such-path",
    HTTPStatus.METHOD_NOT_ALLOWED: "method-not-allowed",
    HTTPStatus.UNPROCESSABLE_ENTITY: "invalid-request",
}
# Slugs without an error class: refusals by the gateway itself.
_GATEWAY_SLUGS: Mapping[str, HTTPStatus] = {
    "unauthenticated": HTTPStatus.UNAUTHORIZED,
    "cross-site": HTTPStatus.FORBIDDEN,
    "scope-missing": HTTPStatus.FORBIDDEN,
    "local-only": HTTPStatus.FORBIDDEN,
    "store-forgeable": HTTPStatus.SERVICE_UNAVAILABLE,
    "no-such-path": HTTPStatus.NOT_FOUND,
    "archive-missing": HTTPStatus.NOT_FOUND,
    "method-not-allowed": HTTPStatus.METHOD_NOT_ALLOWED,
    "too-slow": HTTPStatus.REQUEST_TIMEOUT,
    "in-flight": HTTPStatus.CONFLICT,
    "input-in-use": HTTPStatus.CONFLICT,
    "not-finished": HTTPStatus.CONFLICT,
    "not-repeatable": HTTPStatus.CONFLICT,
    "upload-over": HTTPStatus.CONFLICT,
    "host-not-allowed": HTTPStatus.MISDIRECTED_REQUEST,
    "key-reused": HTTPStatus.UNPROCESSABLE_ENTITY,
    "reference-not-allowed": HTTPStatus.UNPROCESSABLE_ENTITY,
    "rejected": HTTPStatus.UNPROCESSABLE_ENTITY,
    "quota": HTTPStatus.TOO_MANY_REQUESTS,
    "internal-error": HTTPStatus.INTERNAL_SERVER_ERROR,
    "no-secret-key": HTTPStatus.NOT_IMPLEMENTED,
    "only-reads": HTTPStatus.NOT_IMPLEMENTED,
}
SLUGS: Mapping[str, HTTPStatus] = {slug: status for _, slug, status, _ in _PROBLEMS} | dict(_GATEWAY_SLUGS)


class Problem(Exception):
    """A refused request: HTTP status, stable slug, a sentence for people, and extra headers."""

    def __init__(self, status: HTTPStatus, slug: str, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.slug = slug
        self.detail = detail
        self.headers = dict(headers or {})


def install_problems(app: FastAPI) -> None:
    """Make `app` answer every error as problem+json: of resultstore, of the framework, or unexpected."""
    app.add_exception_handler(ResultStoreError, _handle_store_error)
    app.add_exception_handler(Problem, _handle_problem)
    app.add_exception_handler(HTTPException, _handle_http_error)
    app.add_exception_handler(RequestValidationError, _handle_invalid_request)
    app.add_exception_handler(Exception, _handle_unexpected_error)


def error_response(request: Request, error: Exception) -> JSONResponse:
    """Return the response of an application with `install_problems` to this error."""
    if isinstance(error, Problem):
        return _handle_problem(request, error)
    if isinstance(error, RequestValidationError):
        return _handle_invalid_request(request, error)
    return _handle_store_error(request, error)


def problem_response(status: int, slug: str, detail: str, *, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return a problem+json response. The meaning of `slug` never changes; `detail` is for people."""
    body = {
        "type": TYPE_PREFIX + slug,
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "slug": slug,
        "detail": detail,
    }
    always = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return JSONResponse(body, status, media_type=PROBLEM_JSON, headers=always | (headers or {}))


def _handle_store_error(request: Request, error: Exception) -> JSONResponse:
    found = next((row for row in _PROBLEMS if isinstance(error, row[0])), None)
    if found is None:
        return _handle_unexpected_error(request, error)
    _, slug, status, detail = found
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("request_failed", slug=slug, path=request.url.path, error=type(error).__name__, reason=str(error))
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return problem_response(status, slug, detail or str(error), headers=headers)


def _handle_problem(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return problem_response(error.status, error.slug, error.detail, headers=error.headers)


def _handle_http_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    slug = _SLUG_OF_STATUS.get(HTTPStatus(error.status_code), "http-error")
    headers = dict(error.headers) if error.headers else None
    return problem_response(error.status_code, slug, str(error.detail), headers=headers)


def _handle_invalid_request(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    wrong = "; ".join(f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors())
    return problem_response(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", wrong)


def _handle_unexpected_error(request: Request, error: Exception) -> JSONResponse:
    # The server logs the traceback: Starlette raises the error again after this response.
    _log.error("request_crashed", path=request.url.path, error=type(error).__name__)
    return problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, "internal-error", "the gateway failed; see its log")
