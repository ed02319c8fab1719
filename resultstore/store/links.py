"""ArtifactLinks: presigned URLs of Artifacts; one URL is reused for some minutes, so that browser caches work."""

from typing import Final

from resultstore.blobs.blobstore import ReadMethod, SignedUrl, Signer
from resultstore.blobs.disposition import may_be_inline
from resultstore.model.artifact import Artifact
from resultstore.model.errors import ArtifactExpired, BadReference, Misconfigured
from resultstore.store.reading import ArtifactReader

_METHODS: Final = frozenset({"GET", "HEAD"})
SHORTEST_S: Final = 30  # less is too short to start a download
PLAYED_S: Final = 7_200  # a player requests ranges while it plays


class ArtifactLinks:
    """Signs URLs to read Artifacts.

    Args:
        reader: checks Artifacts, and knows how long they live.
        signer: creates the URLs; None for a store that cannot serve URLs.
        length_s: how long a URL works by default.
        inline_pdf: also let a browser show PDF inline.
    """

    def __init__(
        self, reader: ArtifactReader, signer: Signer | None, *, length_s: int, inline_pdf: bool = False
    ) -> None:
        self._reader = reader
        self._signer = signer
        self._length_s = length_s
        self._inline_pdf = inline_pdf

    def link(
        self,
        artifact: Artifact,
        *,
        expires_in_s: int | None,
        inline: bool,
        on_behalf_of: str | None = None,
        not_after: int | None = None,
        method: ReadMethod = "GET",
    ) -> SignedUrl:
        """Create a presigned URL: see `Store.link`. It expires no later than `not_after` (epoch seconds)."""
        if self._reader.seconds_left(artifact, on_behalf_of=on_behalf_of) < SHORTEST_S:
            raise ArtifactExpired(
                f"artifact {artifact.name} of {artifact.id} expires in less than {SHORTEST_S} s: run the task again"
            )
        if self._signer is None:
            raise Misconfigured("this object store has no URLs: set RESULTSTORE_BLOBS_URL to s3:// or file://")
        encoded = bool(artifact.encoding)
        shown = inline and not encoded and may_be_inline(artifact.media_type, pdf=self._inline_pdf)
        if method not in _METHODS:
            raise BadReference(f"a URL of an artifact is for GET or HEAD, not {method!r}")
        # A driver of before this argument signs downloads as ever.
        other: dict[str, ReadMethod] = {} if method == "GET" else {"method": method}
        return self._signer.sign_get(
            artifact.key,
            expires_in_s=self._usual_s(artifact, shown=shown) if expires_in_s is None else int(expires_in_s),
            not_after=min((one for one in (artifact.expires_at, not_after) if one is not None), default=None),
            file_name=artifact.file_name + (".zst" if encoded else ""),
            media_type="application/zstd" if encoded else _served_type(artifact.media_type, shown=shown),
            inline=shown,
            **other,
        )

    def _usual_s(self, artifact: Artifact, *, shown: bool) -> int:
        is_played = shown and artifact.media_type.startswith(("audio/", "video/"))
        return max(self._length_s, PLAYED_S) if is_played else self._length_s


def _served_type(media_type: str, *, shown: bool) -> str:
    """Return the type without its parameters if a browser shows the content: only the bare type was checked."""
    return media_type.partition(";")[0].strip() if shown else media_type
