"""RedisListing: lists ids and reads many records in Redis."""

import math
import time
from collections.abc import Iterator, Sequence
from itertools import count, islice
from typing import Final, cast

from resultstore.index.index import Owned
from resultstore.index.record_decoder import RecordDecoder
from resultstore.index.redis.key_names import RedisKeyNames
from resultstore.index.redis.retrying import RetryingClient, bound
from resultstore.model import layout, record
from resultstore.model.errors import BadReference
from resultstore.model.result import Result
from resultstore.telemetry.logs import Log

_log = Log(__name__)

_SCAN_ROUNDS: Final = 1_000  # a listing scans a million keys at most, also those of other programs
_PAGE: Final = 200
_READ_MAX: Final = 1_000  # records in one request; a Cluster returns all keys in one page


class RedisListing:
    """Implements `Listing`.

    Args:
        client: sends the requests.
        names: of records and owners' lists.
        decoder: decodes the records.
    """

    def __init__(self, client: RetryingClient, names: RedisKeyNames, decoder: RecordDecoder) -> None:
        self._client = client
        self._names = names
        self._decoder = decoder

    def ids(self, *, owner: str | None = None, limit: int = 100) -> Iterator[str]:
        """Yield up to `limit` ids: an owner's, the newest first, or any in no order."""
        return islice(self._scan() if owner is None else (one.id for one in self.owned(owner)), limit)

    def owned(self, owner: str) -> Iterator[Owned]:
        """Yield the owner's Results, the newest first; remove ids that have neither a record nor stored bytes."""
        # By score, not by rank: each entry that the caller removes would move the others up, past the next page.
        newest, given = math.inf, set[bytes]()
        while page := self._page(owner, newest, given):
            if foreign := {entry for entry, _ in page if not self._is_id(entry)}:
                self._remove(owner, foreign)
                continue
            ids = [one.decode() for one, _ in page]
            heads = self._heads(ids)
            stored = self._stored(owner, [one for one, head in zip(ids, heads, strict=True) if not head])
            kept = [one for one, head in zip(ids, heads, strict=True) if head or one in stored]
            if gone := {one.encode() for one in ids if one not in kept}:
                self._remove(owner, gone)
            last = page[-1][1]
            ties = {one.encode() for one, (_, at) in zip(ids, page, strict=True) if at == last and one in kept}
            newest, given = last, ties | (given if last == newest else set())
            for one, head, (_, made_at) in zip(ids, heads, page, strict=True):
                if one in stored or record.is_live(head):
                    yield Owned(one, made_at)

    def everything(self, owner: str) -> list[str]:
        """Return every listed id, and those whose record names the owner: a SCAN of all keys, with an MGET a page."""
        keys = self._names.listed(owner), self._names.stored(owner)
        found = self._client.ask(lambda client: [client.redis_py.zrange(key, 0, -1) for key in keys])
        pages = cast("list[list[bytes]]", found)
        listed = [one.decode(errors="replace") for page in pages for one in page]
        return list(dict.fromkeys([*listed, *self._recorded(owner)]))

    def peek_many(self, result_ids: Sequence[str]) -> list[Result | None]:
        """Return what `peek` returns for each id: one MGET for up to 2,000 of them."""
        found = self._client.read([self._names.record(one) for one in result_ids])
        return self._decoder.decode_small_many(zip(result_ids, found, strict=True))

    def load_many(self, result_ids: Sequence[str]) -> list[Result | None]:
        """Return what `load` returns for each id: one MGET for up to 1,000 of them; in a Cluster, one for each slot."""
        found = self._client.read([key for one in result_ids for key in self._names.pair(one)])
        return self._decoder.decode_whole_many(zip(result_ids, found[::2], found[1::2], strict=True))

    @property
    def unreadable_total(self) -> int:
        """Return how many unreadable records this process has skipped."""
        return self._decoder.unreadable_total

    def _recorded(self, owner: str) -> Iterator[str]:
        for ids in self._pages(rounds=None):
            found = zip(ids, self.peek_many(ids), strict=True)
            yield from (one for one, result in found if result is not None and result.owner == owner)

    def _scan(self) -> Iterator[str]:
        for ids in self._pages(rounds=_SCAN_ROUNDS):
            yield from ids

    def _pages(self, *, rounds: int | None) -> Iterator[list[str]]:
        """Yield pages of ids with a live record, each id once; stop after that many rounds (None: at the end)."""
        seen: set[str] = set()  # SCAN may return a key twice
        pattern, prefix, cursor = self._names.record("*"), self._names.prefix, 0
        whole = rounds is None
        for _ in count() if rounds is None else range(rounds):
            cursor, keys = self._client.ask(
                bound(cursor, lambda client, at: client.scan(pattern=pattern, cursor=at, whole=whole))
            )
            names = (key.decode(errors="replace").removeprefix(prefix) for key in keys)
            named = (layout.id_of_record_key(name) for name in names)
            found = list({one for one in named if one is not None and one not in seen})
            seen.update(found)
            for at in range(0, len(found), _READ_MAX):
                ids = found[at : at + _READ_MAX]
                yield [one for one, head in zip(ids, self._heads(ids), strict=True) if record.is_live(head)]
            if cursor == 0:
                return
        _log.warning("scan_incomplete", rounds=_SCAN_ROUNDS, found=len(seen))

    def _heads(self, ids: list[str]) -> list[bytes]:
        keys = [self._names.record(one) for one in ids]
        return self._client.ask(lambda client: client.read_heads(keys=keys))

    def _page(self, owner: str, newest: float, given: set[bytes]) -> list[tuple[bytes, float]]:
        """Return entries from the score `newest` down, without those that were `given` of this score."""
        key, size = self._names.listed(owner), _PAGE + len(given)
        page = self._client.ask(
            lambda client: client.redis_py.zrevrangebyscore(key, newest, "-inf", start=0, num=size, withscores=True)
        )
        return [one for one in cast("list[tuple[bytes, float]]", page) if one[0] not in given]

    def _stored(self, owner: str, ids: list[str]) -> set[str]:
        if not ids:
            return set()
        key = self._names.stored(owner)
        until = self._client.ask(lambda client: client.read_scores(key=key, members=ids))
        now = time.time()
        return {one for one, at in zip(ids, until, strict=True) if at is not None and at > now}

    def _remove(self, owner: str, entries: set[bytes]) -> None:
        keys = self._names.listed(owner), self._names.stored(owner)
        self._client.ask(lambda client: [client.redis_py.zrem(key, *entries) for key in keys])

    def _is_id(self, entry: bytes) -> bool:
        """Return whether an entry can be an id: other programs may write to this Redis."""
        try:
            self._names.record(entry.decode())
        except (UnicodeDecodeError, BadReference):
            return False
        return True
