"""Ffmpeg: pieces of a video, made by a confined program that reads this one file and nothing else."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from resultstore import BadInput
from tasks.sandbox.confined import Bounds, BoundsExceeded, check_made, installed, run
from tasks.videos.ffprobe import SAFELY, Colors, Video

MAX_HEIGHT: Final = 4352
"""Of what is made: a film as narrow as a tape is made narrower still."""
MAX_POSTER_BYTES: Final = 64 * 1024 * 1024
MAX_PREVIEW_BYTES: Final = 1024 * 1024 * 1024
# A decoder holds frames for each thread, and takes one for each core unless it is told: 16 of 8K are gigabytes.
_THREADS: Final = ("-filter_threads", "2", "-threads", "2")
_WORK: Final = Bounds(memory_mib=2048, cpu_s=300, wall_s=300, written_mib=1024)

Format = Literal["mp4", "webm"]

# H.264 says how its colours are meant, and BT.709 is what players take a small film without such words for least
# often; VP8 has no words for it, and is BT.601 by its specification (RFC 6386, 9.2).
_MATRIX: Final = {"jpeg": "bt601", "mp4": "bt709", "webm": "bt601"}
_TAGS: Final = "-color_range tv -color_primaries bt709 -color_trc bt709 -colorspace "
_SOUND: Final = "-ac 2 -ar 48000 "
_MP4: Final = f"-c:v libx264 -preset veryfast -crf 26 {_TAGS}bt709 {_SOUND}-c:a aac -b:a 96k -movflags +faststart"
_WEBM: Final = f"-c:v libvpx -deadline realtime -cpu-used 8 -crf 30 -b:v 1M {_TAGS}smpte170m {_SOUND}-c:a libvorbis"
# What swscale calls the matrices of H.273; of any other it is left to take the stream's own word.
_SCALES: Final = {"bt709": "bt709", "smpte170m": "bt601", "bt470bg": "bt601", "bt2020nc": "bt2020", "fcc": "fcc"}
_TRANSFERS: Final = frozenset({"bt709", "smpte170m", "bt2020-10", "bt2020-12", "iec61966-2-1", "linear"})


def poster(path: Path, video: Video, *, width: int) -> Path:
    """A JPEG of a moment near the beginning, in a file beside `path`."""
    made = path.with_name("poster.jpg")
    shape = _filters(video, width=width, into="jpeg")
    # A film whose pictures end before its sound has none at that moment: then it is the first one.
    for moment_s in (min(1.0, video.duration_s / 3), 0):
        where = ("-ss", f"{moment_s:.3f}", "-i", path.name, "-map", f"0:{video.picture}", "-frames:v", "1")
        options = (*where, "-vf", shape, *_BARE, "-q:v", "4", "-f", "mjpeg", made.name)
        _ffmpeg(path.parent, options)
        if made.exists() and made.stat(follow_symlinks=False).st_size:
            check_made(made, max_bytes=MAX_POSTER_BYTES)
            return made
    raise BadInput("it has no frame that can be decoded: it is damaged or cut short; send the whole file")


def preview(
    path: Path, video: Video, *, seconds: float, width: int, format: Format, report: Callable[[float], None]
) -> Path:
    """The first `seconds`, small, in a file beside `path`; `report` is told the seconds that are done."""
    made = path.with_name(f"preview.{format}")
    coded = (_MP4 if format == "mp4" else _WEBM).split()
    shape = ("-vf", _filters(video, width=width, into=format), "-r", "30", *_BARE, "-threads", "2")

    def heard(line: bytes) -> None:
        name, _, value = line.decode(errors="replace").strip().partition("=")
        if name == "out_time_us" and value.isdecimal():
            report(min(seconds, int(value) / 1_000_000))

    def encode(sound: tuple[str, ...]) -> None:
        where = ("-t", f"{seconds:.3f}", "-i", path.name, "-map", f"0:{video.picture}", *sound)
        _ffmpeg(path.parent, (*where, *shape, *coded, "-progress", "pipe:1", "-f", format, made.name), heard)

    try:
        encode(() if video.sound is None else ("-map", f"0:{video.sound}"))
    except BoundsExceeded:
        raise
    except BadInput:
        if video.sound is None:
            raise
        encode(())  # sound that cannot be decoded takes no picture from anybody
    check_made(made, max_bytes=MAX_PREVIEW_BYTES)
    return made


# Nothing of what is said about the film: where it was made, by whom, its chapters.
_BARE: Final = ("-map_metadata", "-1", "-map_chapters", "-1", "-sn", "-dn")


def _ffmpeg(folder: Path, options: tuple[str, ...], heard: Callable[[bytes], None] | None = None) -> None:
    command = [installed("ffmpeg"), "-v", "error", "-nostdin", "-y", *_THREADS, *SAFELY, *options]
    run(command, folder=folder, bounds=_WORK, heard=heard)


def _filters(video: Video, *, width: int, into: str) -> str:
    """Make its frames small, with square pixels, and their colours those of what is made.

    ffmpeg has turned them upright before (autorotate).
    """
    shape = _fitted(video, width)
    if video.colors.is_high or video.colors.is_broad:
        steps = _into_bt709(video.colors, shape)
        shape, said = "", "bt709"
    else:
        shape, said = shape + ":", _SCALES.get(video.colors.matrix, "auto")
        steps = ""
    full = into == "jpeg"
    last = f"scale={shape}in_color_matrix={said}:out_color_matrix={_MATRIX[into]}:out_range={'full' if full else 'tv'}"
    return f"{steps}{last},setsar=1,format={'yuvj420p' if full else 'yuv420p'}"


def _into_bt709(colors: Colors, shape: str) -> str:
    """From a broader range of colours or light to BT.709: white of 203 cd/m² (ITU-R BT.2408) is its white."""
    matrix = colors.matrix if colors.matrix in _SCALES else "bt2020nc"
    if not colors.is_high:
        transfer = colors.transfer if colors.transfer in _TRANSFERS else "bt709"
        said = f"min={matrix}:tin={transfer}:pin={colors.primaries}"
        return f"zscale={shape}:{said}:m=bt709:t=bt709:p=bt709:r=limited,format=yuv420p,"
    said = f"min={matrix}:tin={colors.transfer}:pin={colors.primaries}"
    return (
        f"zscale={shape}:{said}:t=linear:npl=203,format=gbrpf32le,zscale=p=bt709,tonemap=mobius:desat=0,"
        "zscale=m=bt709:t=bt709:r=limited,format=yuv420p,"
    )


def _fitted(video: Video, width: int) -> str:
    """The size of what is made: not larger than the film, of the same proportions."""
    width = min(width, video.width, max(1, video.width * MAX_HEIGHT // video.height))
    return f"w={_even(width)}:h={_even(round(video.height * width / video.width))}"


def _even(side: int) -> int:
    """Encoders halve the colour: sides are even."""
    return max(2, side // 2 * 2)
