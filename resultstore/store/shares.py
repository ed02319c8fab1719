"""Shares: links to one Artifact for people without an account, kept in the object store.

What is acknowledged is in the object store alone: a loss of the index changes no share, revocation or count.
"""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from resultstore.blobs.blobstore import BlobStore, Created, OutcomeUnknown, SignedUrl
from resultstore.blobs.stream import read_whole
from resultstore.model import layout, share as documents
from resultstore.model.artifact import Artifact
from resultstore.model.errors import (
    BadInput,
    BadReference,
    BlobMissing,
    BlobStoreUnavailable,
    Misconfigured,
    NotSupported,
    NotThere,
    ShareEnded,
    ShareMissing,
)
from resultstore.model.ids import id_of
from resultstore.model.mac import Macs
from resultstore.model.result import Result
from resultstore.model.share import Share, ShareKey
from resultstore.store.capabilities import CapabilityFinder
from resultstore.store.links import ArtifactLinks

DEFAULT_LENGTH_S: Final = 30 * layout.DAY_S
MAX_LENGTH_S: Final = 365 * layout.DAY_S
MIN_LENGTH_S: Final = 60
MAX_COUNTED: Final = 10_000
MAX_PER_RESULT: Final = 100
_DOCUMENT_MAX_BYTES: Final = 64 * 1024
_CACHED_COUNTS: Final = 10_000
_TRIES: Final = 64  # uses that begin at the same moment each take the next number


class CountedShare(msgspec.Struct, frozen=True):
    """A share with the number of downloads that began by it, at most `MAX_COUNTED`."""

    share: Share
    uses: int


class Shares:
    """Makes, finds, counts and revokes share links. Every method raises BlobStoreUnavailable.

    Args:
        blobs: keeps the shares and their counts.
        macs: signs tokens and documents, each with a key of their own.
        links: makes the presigned URLs to which a share link leads.
        load: returns the Result of an id, or None.
        capabilities: what the object store supports.
    """

    def __init__(
        self,
        blobs: BlobStore,
        macs: Macs,
        *,
        links: ArtifactLinks,
        load: Callable[[str], Result | None],
        capabilities: CapabilityFinder,
    ) -> None:
        self._blobs = blobs
        self._macs = macs
        self._links = links
        self._load = load
        self._capabilities = capabilities
        self._counts: OrderedDict[str, int] = OrderedDict()  # the last use that this process saw, by share
        self._lock = threading.Lock()

    def create(
        self, artifact: Artifact, *, expires_in_s: float | None = None, inline: bool = False, max_uses: int = 0
    ) -> Share:
        """Make a share of an Artifact, and return it.

        Args:
            artifact: the Artifact; it is checked as `Store.link` does.
            expires_in_s: how long its link works, by default 30 days, at most 365; never longer than the Artifact.
            inline: let a browser show the file, if its type is one that `Store.link` shows.
            max_uses: how many downloads may begin; 0 for any number.

        Raises BadInput for a value out of bounds, Misconfigured without a secret key, and what `Store.link` raises.
        """
        self._check_key()
        length_s = DEFAULT_LENGTH_S if expires_in_s is None else expires_in_s
        if not MIN_LENGTH_S <= length_s <= MAX_LENGTH_S:
            raise BadInput(f"a share link works for {MIN_LENGTH_S} s to {MAX_LENGTH_S // layout.DAY_S} days")
        if not 0 <= max_uses <= MAX_COUNTED:
            raise BadInput(f"a share link allows 1 to {MAX_COUNTED:,} downloads, or any number (0)")
        self._capabilities.check_format()
        self._links.link(artifact, expires_in_s=None, inline=inline)  # raises for what cannot be downloaded
        if sum(1 for _ in self._documents(artifact.id)) >= MAX_PER_RESULT:
            raise BadInput(f"result {artifact.id[:100]} has {MAX_PER_RESULT} share links: no more can be made")
        now = self._blobs.now()
        expires_at = int(now + length_s)
        if artifact.expires_at is not None:
            expires_at = min(expires_at, artifact.expires_at)
        share = Share(
            id=secrets.token_hex(16),
            result_id=artifact.id,
            name=artifact.name,
            owner=artifact.owner,
            retention=layout.shortest_class(expires_at - now),
            created_at=int(now),
            expires_at=expires_at,
            inline=inline,
            max_uses=max_uses,
        )
        self._write(share)
        return share

    def token(self, share: Share) -> str:
        """Return the secret part of the share's link. Anyone who has it can download the Artifact."""
        self._check_key()
        return documents.encode_token(documents.key_of(share), self._macs)

    def use(self, token: str) -> SignedUrl:
        """Count one download, and return a presigned URL for it.

        Raises ShareMissing for a token that this store did not make, ShareEnded for a share that has expired, was
        revoked or used up, or whose Artifact is not stored any more.
        """
        share = self._read(documents.decode_token(token, self._macs))
        if share.revoked_at is not None or share.expires_at <= self._blobs.now():
            raise _ended("it has expired or was revoked")
        url = self._url(share)
        self._count(share)
        return url

    def of_result(self, result_id: str) -> list[CountedShare]:
        """Return all shares of a Result that are stored, newest first."""
        self._check_key()
        counts: dict[str, int] = {}
        found: list[ShareKey] = []
        for share_id, retention, is_use in self._keys(id_of(result_id)):
            if is_use:
                counts[share_id] = counts.get(share_id, 0) + 1
            else:
                found.append(ShareKey(share_id, retention, id_of(result_id)))
        shares = [share for one in found if (share := self._known(one)) is not None]
        shares.sort(key=lambda one: (one.created_at, one.id), reverse=True)
        return [CountedShare(one, counts.get(one.id, 0)) for one in shares]

    def revoke(self, result_id: str, share_id: str) -> None:
        """End a share: its link fails from now on. Safe to repeat. Raises ShareMissing."""
        self._check_key()
        key = next((one for one in self._documents(id_of(result_id)) if one.id == share_id), None)
        if key is None:
            raise ShareMissing(f"result {result_id[:100]} has no share {share_id[:100]!a}")
        share = self._read(key)
        if share.revoked_at is None:
            self._write(msgspec.structs.replace(share, revoked_at=int(self._blobs.now())))

    def _url(self, share: Share) -> SignedUrl:
        result = self._load(share.result_id)
        artifact = None if result is None or result.owner != share.owner else result.artifact(share.name)
        if artifact is None:
            raise _ended("its file is not stored any more")
        try:
            return self._links.link(artifact, expires_in_s=None, inline=share.inline, not_after=share.expires_at)
        except NotThere:
            raise _ended("its file is not stored any more") from None

    def _count(self, share: Share) -> None:
        """Take the next free number of use: of several downloads that begin at once, each takes another one."""
        number = self._last_use(share)
        for _ in range(_TRIES):
            number += 1
            if share.max_uses and number > share.max_uses:
                raise _ended("it was used as often as its sender allowed")
            if number > MAX_COUNTED:
                return
            key = layout.share_use_key(share.result_id, share_id=share.id, retention=share.retention, number=number)
            outcome = self._create(key, share.retention)
            if isinstance(outcome, OutcomeUnknown):
                raise BlobStoreUnavailable(f"the download of share {share.id} was not counted: try again")
            self._remember(share.id, number)
            if isinstance(outcome, Created):
                return
        raise BlobStoreUnavailable(f"share {share.id} is used too often at once: try again")

    def _last_use(self, share: Share) -> int:
        with self._lock:
            if (known := self._counts.get(share.id)) is not None:
                return known
        return sum(1 for share_id, _, is_use in self._keys(share.result_id) if is_use and share_id == share.id)

    def _remember(self, share_id: str, number: int) -> None:
        with self._lock:
            self._counts[share_id] = max(number, self._counts.get(share_id, 0))
            self._counts.move_to_end(share_id)
            while len(self._counts) > _CACHED_COUNTS:
                self._counts.popitem(last=False)

    def _documents(self, result_id: str) -> Iterator[ShareKey]:
        return (ShareKey(one, retention, result_id) for one, retention, is_use in self._keys(result_id) if not is_use)

    def _keys(self, result_id: str) -> Iterator[tuple[str, str, bool]]:
        """Yield share id, class, and whether it is a use, of every key of a Result's shares."""
        for stored in self._blobs.list(layout.share_prefix(result_id)):
            if (parts := layout.parse_share_key(stored.key)) is not None:
                yield parts

    def _known(self, key: ShareKey) -> Share | None:
        try:
            return self._read(key)
        except ShareMissing:  # written by another program, or deleted since
            return None

    def _read(self, key: ShareKey) -> Share:
        try:
            document = read_whole(
                self._blobs.get(key.object_key), max_bytes=_DOCUMENT_MAX_BYTES, error=lambda: _ended("it is damaged")
            )
        except (BlobMissing, BadReference):
            raise _ended("it has expired or was deleted") from None
        return documents.decode_document(document, self._macs, key=key)

    def _write(self, share: Share) -> None:
        key, document = documents.key_of(share).object_key, documents.encode_document(share, self._macs)
        try:
            self._blobs.replace(key, document, tags=self._capabilities.tags(share.retention))
        except NotSupported:
            if not self._capabilities.refuse_tags():
                raise
            self._blobs.replace(key, document, tags={})

    def _create(self, key: str, retention: str) -> object:
        try:
            return self._blobs.create(key, b"1", tags=self._capabilities.tags(retention))
        except NotSupported:
            if not self._capabilities.refuse_tags():
                raise
            return self._blobs.create(key, b"1", tags={})

    def _check_key(self) -> None:
        if not self._macs:
            raise Misconfigured("share links need RESULTSTORE_SECRET_KEY, the same for all processes")


def _ended(why: str) -> ShareEnded:
    return ShareEnded(f"this share link does not work any more, because {why}: ask its sender for a new one")
