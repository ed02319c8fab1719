"""NotebookPreviews: the beginning of an Artifact's content, and its link, for the HTML that notebooks show."""

import base64
import weakref
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from resultstore.model.artifact import Artifact
from resultstore.model.artifact_html import IMAGE_TYPES, NotebookPreview
from resultstore.store.ranges import RangeReader

_IMAGE_MAX_BYTES: Final = 1 << 20
_TEXT_BYTES: Final = 1_000
_TEXT_TYPES: Final = ("text/", "application/json", "application/xml", "application/yaml")


class NotebookPreviews:
    """Reads previews by one store, and does not keep that store alive.

    Args:
        ranges: opens an Artifact; a bound method of the store.
        gateway_url: the public address of the gateway, or "".
    """

    def __init__(self, ranges: Callable[[Artifact], RangeReader], *, gateway_url: str) -> None:
        self._ranges = weakref.WeakMethod(ranges)
        self._gateway_url = gateway_url.rstrip("/")

    def __call__(self, artifact: object) -> NotebookPreview:
        """Return link and preview. The link has no signature: the gateway asks who the reader is."""
        if not isinstance(artifact, Artifact):
            return NotebookPreview()
        path = f"/v1/results/{quote(artifact.id, safe='')}/artifacts/{quote(artifact.name, safe='')}"
        link = self._gateway_url + path if self._gateway_url else ""
        open_ranges = self._ranges()
        if open_ranges is None:
            return NotebookPreview(link=link)
        if artifact.media_type in IMAGE_TYPES and artifact.size_bytes <= _IMAGE_MAX_BYTES:
            content = open_ranges(artifact).read(0, artifact.size_bytes)
            return NotebookPreview(link=link, image=base64.b64encode(content).decode())
        if artifact.media_type.startswith(_TEXT_TYPES):
            return NotebookPreview(link=link, text=open_ranges(artifact).read(0, _TEXT_BYTES).decode(errors="replace"))
        return NotebookPreview(link=link)
