"""StreamQuota: counts one stream against the owner's limit of open streams, across all gateways."""

import asyncio
import uuid
from typing import Final

from anyio import to_thread

from resultstore.gateway.quotas import QuotaKind, Quotas
from resultstore.model.errors import ResultStoreError
from resultstore.telemetry.logs import Log

_LEASE_S: Final = 90.0  # the streams of a gateway that crashed stop counting after this
_RENEW_S: Final = 30.0

_log = Log(__name__)


class StreamQuota:
    """The lease of one stream.

    Args:
        quotas: counts the streams.
        owner: the owner of the stream.
    """

    def __init__(self, quotas: Quotas, owner: str) -> None:
        self._quotas = quotas
        self._owner = owner
        self._name = uuid.uuid4().hex

    async def take(self) -> None:
        """Take the lease. Raises Problem 429 `quota` when the owner has as many open streams as allowed."""
        await to_thread.run_sync(self._take)

    async def keep(self) -> None:
        """Renew the lease until this coroutine is cancelled."""
        while True:
            await asyncio.sleep(_RENEW_S)
            try:
                await self.take()
            except Exception as error:  # noqa: BLE001 - a failed renewal must not end an open stream
                _log.warning("stream_quota_not_renewed", error=str(error))

    async def leave(self) -> None:
        """Release the lease. If Redis is unavailable, the lease expires."""
        try:
            await to_thread.run_sync(self._quotas.leave, QuotaKind.STREAMS, self._owner, self._name)
        except ResultStoreError as error:
            _log.warning("stream_quota_not_released", error=str(error))

    def _take(self) -> None:
        self._quotas.take(QuotaKind.STREAMS, self._owner, self._name, ttl_s=_LEASE_S)
