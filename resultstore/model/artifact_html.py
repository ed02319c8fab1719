"""HTML of an Artifact for notebooks: facts, a link and a preview, all of it escaped, and no secret."""

from collections.abc import Callable, Mapping
from html import escape
from typing import Final

import msgspec

# Types that browsers show without running code, as the URL of an `img`.
IMAGE_TYPES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"})


class NotebookPreview(msgspec.Struct, frozen=True, kw_only=True):
    """What a store adds to the facts of an Artifact.

    Args:
        link: where the Artifact can be downloaded, without any signature; "" if that is not known.
        text: the beginning of its content, if it is text.
        image: base64 of its content, if it is a small image of a type in `IMAGE_TYPES`.
    """

    link: str = ""
    text: str = ""
    image: str = ""


PreviewSource = Callable[[object], NotebookPreview]
_sources: list[PreviewSource] = []


def use_previews(source: PreviewSource) -> None:
    """Take previews from `source` from now on, which returns one for an Artifact and may raise anything."""
    _sources[:] = [source]


def preview_of(artifact: object) -> NotebookPreview:
    """Return the preview of an Artifact; an empty one if its content cannot be read. Never raises."""
    for source in _sources:
        try:
            return source(artifact)
        except Exception:  # noqa: BLE001 - a notebook shows the facts at least
            return NotebookPreview()
    return NotebookPreview()


def html_of(title: str, facts: Mapping[str, object], *, media_type: str, preview: NotebookPreview) -> str:
    """Return a small document fragment. Everything is escaped; only http and https links become links."""
    shown = escape(title)
    if preview.link.startswith(("https://", "http://")):
        shown = f'<a href="{escape(preview.link)}" rel="noopener noreferrer" target="_blank">{shown}</a>'
    rows = "".join(
        f"<tr><th>{escape(str(name))}</th><td>{escape(str(value))}</td></tr>" for name, value in facts.items()
    )
    return f"<div><strong>{shown}</strong><table>{rows}</table>{_content(media_type, preview)}</div>"


def _content(media_type: str, preview: NotebookPreview) -> str:
    if preview.image and media_type in IMAGE_TYPES:
        return f'<img alt="" style="max-width:320px" src="data:{media_type};base64,{escape(preview.image)}">'
    return f"<pre>{escape(preview.text)}</pre>" if preview.text else ""
