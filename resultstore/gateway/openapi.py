"""Description: what `/v1/openapi.json` says of errors: RFC 9457 problems under stable slugs, on every route."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel

from resultstore.gateway.problems import PROBLEM_JSON, SLUGS

_REF: Final = "#/components/schemas/Problem"
# What FastAPI would describe instead, and never sends here.
_NOT_OURS: Final = ("HTTPValidationError", "ValidationError")


class ProblemView(BaseModel):
    """An error (RFC 9457). `slug` never changes its meaning; `detail` is for people, and may change at any time."""

    type: str
    title: str
    status: int
    slug: str
    detail: str


def describe_problems(app: FastAPI) -> None:
    """Let the description of `app` name what its errors look like, and every slug with the status it comes with."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _with_problems(plain())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's own guide has it: "Extending OpenAPI"


def _with_problems(told: dict[str, Any]) -> dict[str, Any]:
    schemas = told.setdefault("components", {}).setdefault("schemas", {})
    for name in _NOT_OURS:
        schemas.pop(name, None)
    schemas["Problem"] = ProblemView.model_json_schema()
    schemas["Problem"]["properties"]["slug"]["enum"] = sorted(SLUGS)
    for path, operations in {**told["paths"], **told.get("webhooks", {})}.items():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            if path.startswith("/v1/"):
                operation["responses"].update(_answers())
    return told


def _answers() -> dict[str, object]:
    """By status: which slugs come with it."""
    statuses = sorted(set(SLUGS.values()))
    return {str(int(one)): _answer(one, (slug for slug, status in SLUGS.items() if status == one)) for one in statuses}


def _answer(status: HTTPStatus, slugs: Iterable[str]) -> dict[str, object]:
    said = f"{status.phrase}: {', '.join(f'`{one}`' for one in sorted(slugs))}"
    return {"description": said, "content": {PROBLEM_JSON: {"schema": {"$ref": _REF}}}}
