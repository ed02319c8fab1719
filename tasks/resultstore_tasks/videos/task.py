"""Task `video.preview`: a poster and a short preview of a video."""

from resultstore import Artifact
from resultstore.backends.celery import store_of
from resultstore_tasks.app import app
from resultstore_tasks.arguments import check_size, file_stem, naming, offered
from resultstore_tasks.sandbox.confined import workplace
from resultstore_tasks.videos import ffmpeg
from resultstore_tasks.videos.ffprobe import probe
from resultstore_tasks.videos.offer import PREVIEW, Preview


@offered(PREVIEW, time_limit_s=900)
def preview(source: Artifact, options: Preview) -> list[Artifact]:
    """Make a poster and a short, small version of a video.

    Args:
        source: MP4, MOV, WebM or Matroska of up to 4 hours and 8K.
        options: see `resultstore_tasks.videos.offer.Preview`.

    Returns the poster (JPEG), then the preview. Metadata: `width` and `height` are their own, and so are `duration_s`
    and `codec` of the preview; those of the video are `source_width`, `source_height`, `source_duration_s` and
    `source_codec`.

    Raises BadInput for what is no video, damaged, or over a cap.
    """
    store = store_of(app)
    stem = file_stem(source, "video")
    with naming("video", source):
        check_size(source, PREVIEW)
        with store.open(source) as stream, workplace(stream, name="video") as path:
            video = probe(path)
            source_facts = video.facts("source_")
            picture = ffmpeg.poster(path, video, width=options.width)
            width, height = ffmpeg.fitted(video, options.width)
            facts = {"width": width, "height": height, **source_facts}
            first = store.put(picture, name=f"{stem}-poster.jpg", media_type="image/jpeg", metadata=facts)
            length_s = min(options.seconds, video.duration_s)

            def report(done_s: float) -> None:
                store.progress(done_s, length_s, "encoding the preview")

            made = ffmpeg.preview(
                path, video, seconds=length_s, width=options.width, format=options.format, report=report
            )
            name, media_type = f"{stem}-preview.{options.format}", f"video/{options.format}"
            facts = {**probe(made).facts(), **source_facts}
            return [first, store.put(made, name=name, media_type=media_type, metadata=facts)]
