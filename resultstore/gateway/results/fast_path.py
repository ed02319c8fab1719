"""FastPath: answers the most frequent lookups without FastAPI's request handling, which costs more than they do."""

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from fastapi import Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from resultstore.gateway.identity.caller import Caller, needs
from resultstore.gateway.middleware.path_prefix import route_path
from resultstore.gateway.problems import Problem, error_response
from resultstore.model.errors import ResultStoreError

Answer = Callable[..., Awaitable[Response]]

PREFIX: Final = "/v1/results/"


class RouteTemplate(NamedTuple):
    """The path template under which metrics count a request, like that of a route."""

    path: str


_RESULT: Final = RouteTemplate(PREFIX + "{result_id}")
_ARTIFACT: Final = RouteTemplate(PREFIX + "{result_id}/artifacts/{name}")
_authorize: Final = needs("read")


class FastPath:
    """ASGI middleware: answer `GET /v1/results/{id}` and `.../artifacts/{name}` without a query.

    All other requests take the normal route; both call the same functions.
    Measured with `LookupBatcher`: CPU time of the gateway per lookup fell from 1.6 to 0.6 ms.

    Args:
        app: the next ASGI application: the routes.
        result: returns the response for a Result's id.
        artifact: returns the response for a Result's id and an Artifact's name.
    """

    def __init__(self, app: ASGIApp, *, result: Answer, artifact: Answer) -> None:
        self._app = app
        self._result = result
        self._artifact = artifact

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        segments = _path_segments(scope)
        if not segments:
            await self._app(scope, receive, send)
            return
        answer, scope["route"] = (self._result, _RESULT) if len(segments) == 1 else (self._artifact, _ARTIFACT)
        request = Request(scope, receive)
        try:
            caller: Caller = await _authorize(request)
            response = await answer(*segments, caller)
        except (Problem, ResultStoreError) as error:
            response = error_response(request, error)
        await response(scope, receive, send)


def _path_segments(scope: Scope) -> list[str]:
    """Return the id, or the id and the name, in the path; nothing for a request of the normal route."""
    if scope["type"] != "http" or scope["method"] != "GET" or scope["query_string"]:
        return []
    path = route_path(scope)
    if not path.startswith(PREFIX):
        return []
    match path[len(PREFIX) :].split("/"):
        case [result_id] if result_id:
            return [result_id]
        case [result_id, "artifacts", name] if result_id and name:
            return [result_id, name]
        case _:
            return []
