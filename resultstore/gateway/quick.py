"""Quick: a route without FastAPI's machinery for arguments, which costs more than the look-up that it prepares."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, cast

from fastapi import Request, Response
from fastapi.routing import APIRoute

_Call = Callable[..., Awaitable[Any]]


class QuickRoute(APIRoute):
    """For coroutines that give a Response, and take words of the path, what they depend on by the request alone, and
    parameters of the query that have defaults. A request with a query goes the usual way.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request. Measured with `Lookups`: 1.6 to 0.95 ms of CPU a request."""
        usual, endpoint = super().get_route_handler(), cast("_Call", self.endpoint)
        needed = [(str(one.name), cast("_Call", one.call)) for one in self.dependant.dependencies]

        async def answer(request: Request) -> Response:
            if request.scope["query_string"]:
                return await usual(request)
            given = {name: await call(request) for name, call in needed}
            return cast("Response", await endpoint(**request.path_params, **given))

        return answer
