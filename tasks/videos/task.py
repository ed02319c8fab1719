"""Videos: a poster and a short preview, so that a page can show what was sent."""

from typing import Annotated, Final, Literal

from pydantic import Field

from resultstore import Artifact, BadInput
from resultstore.backends.celery import store_of
from tasks.app import app
from tasks.arguments import checked, file_stem, naming
from tasks.sandbox.confined import workplace
from tasks.videos import ffmpeg
from tasks.videos.ffprobe import looked_at

MAX_INPUT_BYTES: Final = 2 * 1024 * 1024 * 1024
TIME_LIMIT_S: Final = 900

Seconds = Annotated[float, Field(ge=1, le=60)]
Width = Annotated[int, Field(strict=True, ge=64, le=1920)]


@app.task(name="video.preview", time_limit=TIME_LIMIT_S)
@checked
def preview(
    source: Artifact, seconds: Seconds = 10, width: Width = 640, format: Literal["mp4", "webm"] = "mp4"
) -> list[Artifact]:
    """Make a poster and a short, small version of a video.

    Args:
        source: MP4, MOV, WebM or Matroska of up to 2 GiB, 4 hours and 8K.
        seconds: length of the preview, from the beginning.
        width: of both in pixels; neither is made larger than the video.
        format: of the preview.

    Returns the poster (JPEG), then the preview; both with the video's `width`, `height` and `duration_s`.

    Raises BadInput for what is no video, damaged, or over a cap.
    """
    store = store_of(app)
    stem = file_stem(source, "video")
    with naming("video", source):
        if source.size_bytes > MAX_INPUT_BYTES:
            raise BadInput(
                f"it has {source.size_bytes:,} bytes, over the cap of {MAX_INPUT_BYTES:,}; send a smaller one"
            )
        with store.open(source) as stream, workplace(stream, name="video") as path:
            video = looked_at(path)
            facts = video.facts()
            picture = ffmpeg.poster(path, video, width=width)
            first = store.put(picture, name=f"{stem}-poster.jpg", media_type="image/jpeg", metadata=facts)
            length_s = min(seconds, video.duration_s)

            def report(done_s: float) -> None:
                store.progress(done_s, length_s, "encoding the preview")

            made = ffmpeg.preview(path, video, seconds=length_s, width=width, format=format, report=report)
            name, media_type = f"{stem}-preview.{format}", f"video/{format}"
            return [first, store.put(made, name=name, media_type=media_type, metadata=facts)]
