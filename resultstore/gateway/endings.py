"""Endings: what a webhook says, described for the reader of `/v1/openapi.json`."""

from typing import Literal

from fastapi import FastAPI
from pydantic import BaseModel

from resultstore.gateway.views import ResultView


class EndingView(BaseModel):
    """The body of a webhook: how a piece of work has ended; `timestamp` is RFC 3339."""

    type: Literal["result.succeeded", "result.failed", "result.revoked"]
    timestamp: str
    data: ResultView


def describe_webhooks(app: FastAPI) -> None:
    """Name in the description of `app` what it sends by itself."""
    app.webhooks.add_api_route("result-ended", _ended, methods=["POST"], name="result-ended", status_code=204)


def _ended(body: EndingView) -> None:
    """Sent to the `webhook_url` that was left with the work, once it has ended.

    Signed as Standard Webhooks say, in the headers `webhook-id`, `webhook-timestamp` and `webhook-signature`; the id is
    the same each time, so that a repetition is known as one. Any 2xx within 15 s ends it, and so does 410; everything
    else, redirects too, is tried again after 5 s, 20 s, 80 s ... 4 h, for a day. It holds no URL that anybody could
    use without a token of his own.
    """
