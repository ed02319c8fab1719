"""ContentReader: the half of a Store that reads what Results hold: files, ranges, presigned URLs and plain values."""

import io
from typing import BinaryIO, cast

from resultstore.blobs.blobstore import ReadMethod, SignedUrl
from resultstore.index.index import Index
from resultstore.model.artifact import Artifact
from resultstore.model.result import Result
from resultstore.store.finder import ResultFinder
from resultstore.store.links import ArtifactLinks
from resultstore.store.lookup import Lookup
from resultstore.store.ranges import RangeReader
from resultstore.store.reading import ArtifactReader
from resultstore.store.required import require_blobs


class ContentReader(ResultFinder):
    """Base class of Store: reads and verifies content.

    Args:
        index: stores the records.
        lookup: finds Results.
        reader: opens Artifacts; None without an object store.
        links: signs URLs; None without an object store.
    """

    def __init__(
        self, index: Index, lookup: Lookup, *, reader: ArtifactReader | None, links: ArtifactLinks | None
    ) -> None:
        super().__init__(index, lookup)
        self._reader = reader
        self._links = links

    def open(self, artifact: Artifact, *, on_behalf_of: str | None = None) -> BinaryIO:
        """Open a seekable file that streams the Artifact's content; every byte is verified before it is returned.

        `on_behalf_of` names the owner to act for, inside a task that `settings.security.system_tasks` names.

        Raises:
            ArtifactExpired: its retention time has ended.
            BadReference: this store did not create it.
            NotYours: the running task has another owner.
            BlobMissing, ChecksumMismatch: raised by a read if the store lost or damaged the blob.
        """
        reader = require_blobs(self._reader).reader(artifact, on_behalf_of=on_behalf_of)
        return cast("BinaryIO", io.BufferedReader(reader, buffer_size=1 << 20))

    def ranges(self, artifact: Artifact, *, on_behalf_of: str | None = None) -> RangeReader:
        """Return a reader of byte ranges, which fetches and verifies only the blocks (1 MiB) that a range touches.

        Its `read(start, size_bytes)` may be called by several threads. `on_behalf_of` and errors as in `open`.
        """
        return require_blobs(self._reader).ranges(artifact, on_behalf_of=on_behalf_of)

    def url(
        self,
        artifact: Artifact,
        *,
        expires_in_s: int | None = None,
        inline: bool = False,
        method: ReadMethod = "GET",
    ) -> str:
        """Return a presigned URL of the Artifact: see `link`."""
        return self.link(artifact, expires_in_s=expires_in_s, inline=inline, method=method).url

    def link(
        self,
        artifact: Artifact,
        *,
        expires_in_s: int | None = None,
        inline: bool = False,
        on_behalf_of: str | None = None,
        method: ReadMethod = "GET",
    ) -> SignedUrl:
        """Return a presigned URL of the Artifact with its expiry.

        The URL works for `expires_in_s`, by default `settings.urls.expires_s` (2 h for audio and video shown inline),
        and never longer than the Artifact. Within `settings.urls.window_s` the same URL is returned, so that up to this
        much of its time may have passed. `inline` lets the browser show PNG, JPEG, GIF, WebP, AVIF, audio, MP4, WebM,
        and with `settings.urls.inline_pdf` also PDF.

        A URL is valid for one method: with `method` "HEAD" a client asks for size, type and ETag without the content.

        `on_behalf_of` as in `open`. Raises ArtifactExpired, also if less than 30 s are left, BadReference, NotYours.
        """
        links = require_blobs(self._links)
        return links.link(artifact, expires_in_s=expires_in_s, inline=inline, on_behalf_of=on_behalf_of, method=method)

    def value(self, result: Result) -> bytes | None:
        """Return the plain value as its backend encoded it, or None. Raises ArtifactExpired, ResultMissing."""
        if not result.sealed or (self._reader is None and result.value is not None):
            return result.value
        return require_blobs(self._reader).value(result)
