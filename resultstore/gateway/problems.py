"""Problems: every error of the gateway as RFC 9457 problem+json, under a stable name."""

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

# From the special to the general: the first class that fits names the problem. A detail of "" lets the error speak for
# itself; the others would name keys, endpoints or owners, which a stranger has no business to read.
_PROBLEMS: tuple[tuple[type[ResultStoreError], str, HTTPStatus, str], ...] = (
    (ResultMissing, "result-missing", HTTPStatus.NOT_FOUND, ""),
    (ArtifactMissing, "artifact-missing", HTTPStatus.NOT_FOUND, ""),
    (ArtifactExpired, "artifact-expired", HTTPStatus.GONE, ""),
    (BlobMissing, "artifact-gone", HTTPStatus.GONE, "the bytes are not in the store any more; run the task again"),
    (TaskMissing, "task-missing", HTTPStatus.NOT_FOUND, ""),
    (NotThere, "not-there", HTTPStatus.NOT_FOUND, "nothing is known under this name"),
    (NotYours, "result-missing", HTTPStatus.NOT_FOUND, "no result is known under this id"),
    (BadReference, "result-missing", HTTPStatus.NOT_FOUND, "no result is known under this id"),
    (UploadIncomplete, "upload-incomplete", HTTPStatus.CONFLICT, ""),
    (TooLarge, "too-large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, ""),
    (WrongType, "wrong-type", HTTPStatus.UNSUPPORTED_MEDIA_TYPE, ""),
    (BadInput, "invalid-request", HTTPStatus.UNPROCESSABLE_ENTITY, ""),
    (AddressRefused, "address-refused", HTTPStatus.UNPROCESSABLE_ENTITY, ""),
    (Refused, "refused", HTTPStatus.UNPROCESSABLE_ENTITY, "the request is understood and is not carried out as it is"),
    (
        Damaged,
        "damaged",
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "what is stored is not what was written; run the task again",
    ),
    (
        Unavailable,
        "unavailable",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "a server behind the gateway does not answer; try again",
    ),
    (CommitUnknown, "commit-unknown", HTTPStatus.SERVICE_UNAVAILABLE, "the outcome is not known yet; ask again"),
)
_OF_STATUS = {
    HTTPStatus.NOT_FOUND: "no-such-path",
    HTTPStatus.METHOD_NOT_ALLOWED: "method-not-allowed",
    HTTPStatus.UNPROCESSABLE_ENTITY: "invalid-request",
}
# Those that no error of ours stands behind: what the gateway itself refuses.
_OWN: Mapping[str, HTTPStatus] = {
    "unauthenticated": HTTPStatus.UNAUTHORIZED,
    "cross-site": HTTPStatus.FORBIDDEN,
    "scope-missing": HTTPStatus.FORBIDDEN,
    "local-only": HTTPStatus.FORBIDDEN,
    "store-forgeable": HTTPStatus.SERVICE_UNAVAILABLE,
    "no-such-path": HTTPStatus.NOT_FOUND,
    "method-not-allowed": HTTPStatus.METHOD_NOT_ALLOWED,
    "too-slow": HTTPStatus.REQUEST_TIMEOUT,
    "in-flight": HTTPStatus.CONFLICT,
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
SLUGS: Mapping[str, HTTPStatus] = {slug: status for _, slug, status, _ in _PROBLEMS} | dict(_OWN)


class Problem(Exception):
    """A request that the gateway refuses by itself: status, stable slug, a sentence for people, further headers."""

    def __init__(self, status: HTTPStatus, slug: str, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.slug = slug
        self.detail = detail
        self.headers = dict(headers or {})


def install_problems(app: FastAPI) -> None:
    """Let `app` answer each error, ours, the framework's or an unforeseen one, as problem+json."""
    app.add_exception_handler(ResultStoreError, _of_ours)
    app.add_exception_handler(Problem, _of_problem)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(Exception, _of_surprise)


def answer_to(request: Request, error: Exception) -> JSONResponse:
    """What an application with `install_problems` answers to an error, for who has something to add."""
    if isinstance(error, Problem):
        return _of_problem(request, error)
    if isinstance(error, RequestValidationError):
        return _of_validation(request, error)
    return _of_ours(request, error)


def problem(status: int, slug: str, detail: str, *, headers: dict[str, str] | None = None) -> JSONResponse:
    """One answer: `slug` never changes its meaning, `detail` is for people."""
    body = {
        "type": TYPE_PREFIX + slug,
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "slug": slug,
        "detail": detail,
    }
    always = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return JSONResponse(body, status, media_type=PROBLEM_JSON, headers=always | (headers or {}))


def _of_ours(request: Request, error: Exception) -> JSONResponse:
    kind = next((row for row in _PROBLEMS if isinstance(error, row[0])), None)
    if kind is None:
        return _of_surprise(request, error)
    _, slug, status, detail = kind
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("request_failed", slug=slug, path=request.url.path, error=type(error).__name__, reason=str(error))
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return problem(status, slug, detail or str(error), headers=headers)


def _of_problem(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return problem(error.status, error.slug, error.detail, headers=error.headers)


def _of_http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    slug = _OF_STATUS.get(HTTPStatus(error.status_code), "http-error")
    headers = dict(error.headers) if error.headers else None
    return problem(error.status_code, slug, str(error.detail), headers=headers)


def _of_validation(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    wrong = "; ".join(f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors())
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", wrong)


def _of_surprise(request: Request, error: Exception) -> JSONResponse:
    # The traceback follows from the server: Starlette raises the error again behind this answer.
    _log.error("request_crashed", path=request.url.path, error=type(error).__name__)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal-error", "the gateway failed; its log says why")
