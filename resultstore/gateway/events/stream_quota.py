"""Seat: one of the event streams that an owner may have open at a time, counted over all gateways."""

import asyncio
import uuid
from typing import Final

from anyio import to_thread

from resultstore.gateway.quotas import QuotaKind, Quotas
from resultstore.model.errors import ResultStoreError
from resultstore.telemetry.logs import Log

_LIFE_S: Final = 90.0  # what a gateway that died had open is free again after this
_RENEWED_S: Final = 30.0

_log = Log(__name__)


class StreamQuota:
    """Belongs to one stream.

    Args:
        quotas: counts them.
        owner: whose stream it is.
    """

    def __init__(self, quotas: Quotas, owner: str) -> None:
        self._quotas = quotas
        self._owner = owner
        self._name = uuid.uuid4().hex

    async def take(self) -> None:
        """Raises Problem 429 `quota` when the owner has as many as he may have."""
        await to_thread.run_sync(self._take)

    async def keep(self) -> None:
        """Keep it until this is cancelled."""
        while True:
            await asyncio.sleep(_RENEWED_S)
            try:
                await self.take()
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not end a stream that stands
                _log.warning("seat_not_renewed", error=str(error))

    async def leave(self) -> None:
        """Give it back. When Redis is away it ends by itself."""
        try:
            await to_thread.run_sync(self._quotas.leave, QuotaKind.STREAMS, self._owner, self._name)
        except ResultStoreError as error:
            _log.warning("seat_not_left", error=str(error))

    def _take(self) -> None:
        self._quotas.take(QuotaKind.STREAMS, self._owner, self._name, ttl_s=_LIFE_S)
