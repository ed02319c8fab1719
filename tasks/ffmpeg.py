"""Ffmpeg: what is in a video, and pieces of it, by a confined program that reads this one file and nothing else."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

import msgspec

from resultstore import BadInput
from tasks.confined import Bounds, installed, run

MAX_DURATION_S: Final = 4 * 3600
MAX_PIXELS: Final = 8192 * 4352
MAX_STREAMS: Final = 16
MAX_FRAMES_PER_S: Final = 240
_LOOK: Final = Bounds(memory_mib=1024, cpu_s=15, wall_s=30)
_WORK: Final = Bounds(memory_mib=2048, cpu_s=300, wall_s=300)

# An HLS playlist or an ffconcat script that calls itself .mp4 would open other files and addresses: only these
# containers and codecs are read, and only from files.
_SAFELY: Final = (
    "-protocol_whitelist",
    "file,pipe",
    "-format_whitelist",
    "mov,mp4,matroska,webm",
    "-codec_whitelist",
    "h264,hevc,vp8,vp9,libdav1d,av1,mpeg4,mjpeg,aac,mp3,mp3float,opus,vorbis,flac,ac3,pcm_s16le",
)

Format = Literal["mp4", "webm"]

_MP4: Final = "-c:v libx264 -preset veryfast -crf 26 -pix_fmt yuv420p -c:a aac -b:a 96k -movflags +faststart"
_WEBM: Final = "-c:v libvpx -deadline realtime -cpu-used 8 -crf 30 -b:v 1M -pix_fmt yuv420p -c:a libvorbis"


class _Stream(msgspec.Struct, frozen=True):
    codec_type: str = ""
    codec_name: str = ""
    width: int = 0
    height: int = 0
    avg_frame_rate: str = "0/0"


class _Container(msgspec.Struct, frozen=True):
    duration: str = "0"


class _Found(msgspec.Struct, frozen=True):
    streams: tuple[_Stream, ...] = ()
    format: _Container = _Container()


class Video(msgspec.Struct, frozen=True):
    """What a video is, as its header says."""

    width: int
    height: int
    duration_s: float
    codec: str


def looked_at(path: Path) -> Video:
    """What is in the file, without a frame being decoded. Raises BadInput for what is no video, or over a cap."""
    asked = ("-v", "error", "-show_entries", "stream=codec_type,codec_name,width,height,avg_frame_rate:format=duration")
    answer = run([installed("ffprobe"), *_SAFELY, *asked, "-of", "json", path.name], folder=path.parent, bounds=_LOOK)
    try:
        found = msgspec.json.decode(answer, type=_Found)
        duration_s = float(found.format.duration)
    except (msgspec.DecodeError, ValueError) as error:
        raise BadInput("it is no video that can be read; send MP4, MOV, WebM or Matroska") from error
    pictures = [one for one in found.streams if one.codec_type == "video"]
    if not pictures:
        raise BadInput("it has no picture, only other streams; send a video")
    first = pictures[0]
    _check(first, duration_s=duration_s, streams=len(found.streams))
    return Video(width=first.width, height=first.height, duration_s=round(duration_s, 3), codec=first.codec_name)


def poster(path: Path, video: Video, *, width: int) -> Path:
    """A JPEG of a moment near the beginning, in a file beside `path`."""
    made = path.with_name("poster.jpg")
    moment_s = min(1.0, video.duration_s / 3)
    scale = f"scale={_even(min(width, video.width))}:-2"
    where = ("-ss", f"{moment_s:.3f}", "-i", path.name, "-frames:v", "1", "-an", "-sn", "-dn")
    options = (*where, "-vf", scale, "-map_metadata", "-1", "-q:v", "4", "-f", "mjpeg", made.name)
    run([installed("ffmpeg"), *_quietly(), *_SAFELY, *options], folder=path.parent, bounds=_WORK)
    if not made.exists() or not made.stat().st_size:
        raise BadInput("it has no frame that can be decoded: it is damaged or cut short; send the whole file")
    return made


def preview(path: Path, *, seconds: float, width: int, format: Format, report: Callable[[float], None]) -> Path:
    """The first `seconds`, small, in a file beside `path`; `report` is told the seconds that are done."""
    made = path.with_name(f"preview.{format}")
    where = ("-t", f"{seconds:.3f}", "-i", path.name, "-map", "0:v:0", "-map", "0:a:0?", "-sn", "-dn")
    shape = ("-vf", f"scale='min({_even(width)},iw)':-2", "-r", "30", "-map_metadata", "-1", "-threads", "2")
    options = (
        *where,
        *shape,
        *(_MP4 if format == "mp4" else _WEBM).split(),
        "-progress",
        "pipe:1",
        "-f",
        format,
        made.name,
    )

    def heard(line: bytes) -> None:
        name, _, value = line.decode(errors="replace").strip().partition("=")
        if name == "out_time_us" and value.isdecimal():
            report(min(seconds, int(value) / 1_000_000))

    run([installed("ffmpeg"), *_quietly(), *_SAFELY, *options], folder=path.parent, bounds=_WORK, heard=heard)
    return made


def _check(first: _Stream, *, duration_s: float, streams: int) -> None:
    top, _, bottom = first.avg_frame_rate.partition("/")
    rate = int(top) / int(bottom) if top.isdecimal() and bottom.isdecimal() and int(bottom) else 0.0
    over = {
        f"{first.width} x {first.height} pixels": first.width * first.height > MAX_PIXELS,
        "no size": first.width < 1 or first.height < 1,
        "no length": not duration_s > 0,
        f"{duration_s:,.0f} seconds": duration_s > MAX_DURATION_S,
        f"{rate:,.0f} frames a second": rate > MAX_FRAMES_PER_S,
        f"{streams} streams": streams > MAX_STREAMS,
    }
    wrong = [what for what, is_over in over.items() if is_over]
    if wrong:
        raise BadInput(f"it has {', '.join(wrong)}; send a video within {MAX_DURATION_S // 3600} hours and 8K")


def _quietly() -> tuple[str, ...]:
    return ("-v", "error", "-nostdin", "-y")


def _even(width: int) -> int:
    """Encoders halve the colour: sides are even."""
    return max(2, width // 2 * 2)
