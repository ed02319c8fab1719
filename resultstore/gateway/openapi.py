"""What `/v1/openapi.json` adds to FastAPI's own description: the problems of every route, and the webhook."""

from http import HTTPStatus
from typing import Any, Final, Literal

from fastapi import FastAPI
from pydantic import BaseModel

from resultstore.gateway.problems import PROBLEM_JSON, SLUGS
from resultstore.gateway.views import ResultView

_REF: Final = "#/components/schemas/Problem"
# What FastAPI would describe for invalid requests; the gateway sends problems instead.
_NEVER_SENT: Final = ("HTTPValidationError", "ValidationError")


class ProblemView(BaseModel):
    """An error (RFC 9457). The meaning of `slug` never changes; `detail` is for people and may change at any time."""

    type: str
    title: str
    status: int
    slug: str
    detail: str


class EndingView(BaseModel):
    """The body of a webhook: the final state of a Result; `timestamp` is RFC 3339."""

    type: Literal["result.succeeded", "result.failed", "result.revoked"]
    timestamp: str
    data: ResultView


def describe_webhooks(app: FastAPI) -> None:
    """Add the webhook to the OpenAPI description of `app`."""
    app.webhooks.add_api_route(
        "result-ended", _webhook, methods=["POST"], name="result-ended", status_code=204, summary="Result has ended"
    )


def _webhook(body: EndingView) -> None:
    """Sent to the `webhook_url` of an upload or a task when its Result has ended.

    Signed as in Standard Webhooks, in the headers `webhook-id`, `webhook-timestamp` and `webhook-signature`. Every
    attempt has the same id, so that the receiver can ignore repetitions. Answer with 2xx within 15 s to acknowledge, or
    with 410 to refuse. Any other answer, also a redirect, is retried with back-off for one day. The pauses are 5 s,
    20 s, 80 s and so on, up to 4 h. The links in the body need the receiver's own token.
    """


def describe_problems(app: FastAPI) -> None:
    """Add the problems to the OpenAPI description of `app`: each slug with its HTTP status."""
    fastapi_openapi = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _with_problems(fastapi_openapi())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # as in FastAPI's guide, "Extending OpenAPI"


def _with_problems(document: dict[str, Any]) -> dict[str, Any]:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in _NEVER_SENT:
        schemas.pop(name, None)
    schemas["Problem"] = ProblemView.model_json_schema()
    schemas["Problem"]["properties"]["slug"]["enum"] = sorted(SLUGS)
    for path, operations in {**document["paths"], **document.get("webhooks", {})}.items():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            if path.startswith("/v1/"):
                operation["responses"].update(_problem_responses())
    return document


def _problem_responses() -> dict[str, object]:
    """Return the description of each error status and its slugs."""
    return {str(int(status)): _response(status) for status in sorted(set(SLUGS.values()))}


def _response(status: HTTPStatus) -> dict[str, object]:
    slugs = (slug for slug, its_status in SLUGS.items() if its_status == status)
    description = f"{status.phrase}: {', '.join(f'`{one}`' for one in sorted(slugs))}"
    return {"description": description, "content": {PROBLEM_JSON: {"schema": {"$ref": _REF}}}}
