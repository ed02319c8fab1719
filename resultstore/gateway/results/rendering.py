"""ResultRenderer: shows Results as one gateway does: below its path, with what may be done with each."""

from collections.abc import Sequence

from anyio import to_thread

from resultstore.gateway.middleware.path_prefix import PathPrefix
from resultstore.gateway.tasks.retryable import RetryFinder
from resultstore.gateway.views import ResultView, result_view
from resultstore.model.errors import ResultStoreError
from resultstore.model.result import Result
from resultstore.telemetry.logs import Log

_log = Log(__name__)


class ResultRenderer:
    """Makes views. Every method but `json_soon` may ask the index whether an order is kept.

    Args:
        repeats: which Results can be made again.
        prefix: the path below which the gateway is reached.
    """

    def __init__(self, repeats: RetryFinder, prefix: PathPrefix) -> None:
        self._repeats = repeats
        self._prefix = prefix

    def one(self, result: Result, *, retry_of: str | None = None) -> ResultView:
        """Return the view of a Result; `retry_of` for who has just started it again."""
        repeatable = result.id in self._repeatable([result])
        return result_view(result, retry_of=retry_of, prefix=self._prefix.path, repeatable=repeatable)

    def many(self, results: Sequence[Result]) -> list[ResultView]:
        """Return a view of each Result, by one look-up; one that cannot be shown is left out."""
        repeatable, views = self._repeatable(results), []
        for one in results:
            try:
                views.append(result_view(one, prefix=self._prefix.path, repeatable=one.id in repeatable))
            except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the others are shown
                _log.warning("result_not_shown", id=one.id, error=repr(error))
        return views

    def json(self, result: Result) -> bytes:
        """Return the view as JSON."""
        return self.one(result).model_dump_json().encode()

    async def json_soon(self, result: Result) -> bytes:
        """Return the view as JSON; a thread asks the index, where that has to be asked."""
        if self._repeats.may_repeat(result):
            return await to_thread.run_sync(self.json, result)
        return result_view(result, prefix=self._prefix.path).model_dump_json().encode()

    def _repeatable(self, results: Sequence[Result]) -> frozenset[str]:
        try:
            return self._repeats.ids(results)
        except ResultStoreError as error:  # a retry would be refused now: it is not offered
            _log.warning("orders_not_read", error=str(error))
            return frozenset()
