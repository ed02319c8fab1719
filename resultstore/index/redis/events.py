"""RedisEvents: subscriptions to changes, and the streams of owners' Events, in Redis."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from resultstore.index.inbox import EventInbox
from resultstore.index.redis.key_names import RedisKeyNames
from resultstore.index.redis.owner_stream import last_event_id, read_event, read_missed, read_owner_event
from resultstore.index.redis.retrying import RetryingClient
from resultstore.index.redis.subscription import RedisSubscription
from resultstore.model import record
from resultstore.model.event import Announcement, OwnerEvent
from resultstore.model.result import Result, State
from resultstore.model.spill import Spill


class RedisEvents:
    """Implements `Events` and `EarlyAnnouncer`.

    Args:
        client: sends the requests, and opens the connections.
        names: of channels and streams.
    """

    def __init__(self, client: RetryingClient, names: RedisKeyNames) -> None:
        self._client = client
        self._names = names

    def watch(self, result_id: str) -> AbstractContextManager[EventInbox]:
        """Subscribe to an id; all watches of a process share one connection and one thread.

        Raises IndexUnavailable on entry when the server does not confirm within 3 s.
        """
        return self._client.current().watcher.watch(self._names.channel(result_id))

    def open_subscription(self, *, also: Callable[[str], str] | None = None) -> RedisSubscription[Announcement]:
        """Return a subscription with its own connection; `also` names a second channel of each id."""
        connect = self._client.current().connect
        return RedisSubscription(connect, channel_of=self._names.channel, also_of=also, read=read_event)

    def open_feed(self) -> RedisSubscription[OwnerEvent]:
        """Return a feed with its own connection."""
        connect = self._client.current().connect
        return RedisSubscription(connect, channel_of=self._names.owner_channel, read=read_owner_event)

    def last_event_id(self, owner: str) -> str:
        """Return the stream id of the owner's newest Event, or "0-0"."""
        return self._client.ask(lambda client: last_event_id(client.redis_py, self._names.stream(owner)))

    def read_missed(self, owner: str, *, after: str) -> list[OwnerEvent] | None:
        """Return the owner's Events after `after`; None if `after` is not in the stream any more."""
        stream = self._names.stream(owner)
        return self._client.ask(lambda client: read_missed(client.redis_py, stream, owner=owner, after=after))

    def announce_early(self, result_id: str, spill: Spill) -> None:
        """Announce where the value of the id is stored, before it is sealed; may be lost."""
        event = record.encode_event(Result(id=result_id, state=State.STARTED), early=spill)
        self._client.current().send_unconfirmed("PUBLISH", self._names.channel(result_id), event)
