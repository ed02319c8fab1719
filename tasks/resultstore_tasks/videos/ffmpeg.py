"""Posters and previews, made by ffmpeg in the sandbox."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from resultstore import BadInput
from resultstore_tasks.sandbox.confined import Bounds, BoundsExceeded, check_made, installed, run
from resultstore_tasks.videos.ffprobe import SAFELY, Colors, Video

MAX_HEIGHT: Final = 4352
"""Maximum height in pixels of poster and preview; a higher video is scaled down."""
MAX_POSTER_BYTES: Final = 64 * 1024 * 1024
MAX_PREVIEW_BYTES: Final = 1024 * 1024 * 1024
# By default a decoder starts a thread for each core and holds frames for each: 16 of 8K take gigabytes.
_THREADS: Final = ("-filter_threads", "2", "-threads", "2")
_WORK: Final = Bounds(memory_mib=2048, cpu_s=300, wall_s=300, written_mib=1024)

Format = Literal["mp4", "webm"]

# H.264 names its colour space, and it must: players seldom assume BT.709 for a small video. VP8 cannot name one, and
# is BT.601 by its specification (RFC 6386, 9.2).
_MATRIX: Final = {"jpeg": "bt601", "mp4": "bt709", "webm": "bt601"}
_TAGS: Final = "-color_range tv -color_primaries bt709 -color_trc bt709 -colorspace "
_SOUND: Final = "-ac 2 -ar 48000 "
_MP4: Final = f"-c:v libx264 -preset veryfast -crf 26 {_TAGS}bt709 {_SOUND}-c:a aac -b:a 96k -movflags +faststart"
_WEBM: Final = f"-c:v libvpx -deadline realtime -cpu-used 8 -crf 30 -b:v 1M {_TAGS}smpte170m {_SOUND}-c:a libvorbis"
# swscale's names of the matrices of H.273; for any other it uses what the stream names.
_SCALES: Final = {"bt709": "bt709", "smpte170m": "bt601", "bt470bg": "bt601", "bt2020nc": "bt2020", "fcc": "fcc"}
_TRANSFERS: Final = frozenset({"bt709", "smpte170m", "bt2020-10", "bt2020-12", "iec61966-2-1", "linear"})


def poster(path: Path, video: Video, *, width: int) -> Path:
    """Make a JPEG of a frame near the beginning, in a file next to `path`."""
    made = path.with_name("poster.jpg")
    shape = _filters(video, width=width, into="jpeg")
    # A video whose frames end before its sound may have none at that moment: then use the first frame.
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
    """Encode the first `seconds`, scaled down, to a file next to `path`; `report` receives the seconds done."""
    made = path.with_name(f"preview.{format}")
    coded = (_MP4 if format == "mp4" else _WEBM).split()
    shape = ("-vf", _filters(video, width=width, into=format), "-r", "30", *_BARE, "-threads", "2")

    def on_line(line: bytes) -> None:
        name, _, value = line.decode(errors="replace").strip().partition("=")
        if name == "out_time_us" and value.isdecimal():
            report(min(seconds, int(value) / 1_000_000))

    def encode(sound: tuple[str, ...]) -> None:
        where = ("-t", f"{seconds:.3f}", "-i", path.name, "-map", f"0:{video.picture}", *sound)
        _ffmpeg(path.parent, (*where, *shape, *coded, "-progress", "pipe:1", "-f", format, made.name), on_line)

    try:
        encode(() if video.sound is None else ("-map", f"0:{video.sound}"))
    except BoundsExceeded:
        raise
    except BadInput:
        if video.sound is None:
            raise
        encode(())  # the sound cannot be decoded: make a preview without it
    check_made(made, max_bytes=MAX_PREVIEW_BYTES)
    return made


# No metadata of the video: location, author, chapters.
_BARE: Final = ("-map_metadata", "-1", "-map_chapters", "-1", "-sn", "-dn")


def _ffmpeg(folder: Path, options: tuple[str, ...], on_line: Callable[[bytes], None] | None = None) -> None:
    command = [installed("ffmpeg"), "-v", "error", "-nostdin", "-y", *_THREADS, *SAFELY, *options]
    run(command, folder=folder, bounds=_WORK, on_line=on_line)


def _filters(video: Video, *, width: int, into: str) -> str:
    """Return the filters that scale the frames to square pixels, and convert their colours for the output.

    ffmpeg rotates the frames upright before them (autorotate).
    """
    shape = "w={}:h={}".format(*fitted(video, width))
    if video.colors.is_high or video.colors.is_broad:
        steps = _into_bt709(video.colors, shape)
        shape, source = "", "bt709"
    else:
        shape, source = shape + ":", _SCALES.get(video.colors.matrix, "auto")
        steps = ""
    full = into == "jpeg"
    last = (
        f"scale={shape}in_color_matrix={source}:out_color_matrix={_MATRIX[into]}:out_range={'full' if full else 'tv'}"
    )
    return f"{steps}{last},setsar=1,format={'yuvj420p' if full else 'yuv420p'}"


def _into_bt709(colors: Colors, shape: str) -> str:
    """Return the filters from a wide gamut or a high dynamic range to BT.709, with white at 203 cd/m² (BT.2408)."""
    matrix = colors.matrix if colors.matrix in _SCALES else "bt2020nc"
    if not colors.is_high:
        transfer = colors.transfer if colors.transfer in _TRANSFERS else "bt709"
        source = f"min={matrix}:tin={transfer}:pin={colors.primaries}"
        return f"zscale={shape}:{source}:m=bt709:t=bt709:p=bt709:r=limited,format=yuv420p,"
    source = f"min={matrix}:tin={colors.transfer}:pin={colors.primaries}"
    return (
        f"zscale={shape}:{source}:t=linear:npl=203,format=gbrpf32le,zscale=p=bt709,tonemap=mobius:desat=0,"
        "zscale=m=bt709:t=bt709:r=limited,format=yuv420p,"
    )


def fitted(video: Video, width: int) -> tuple[int, int]:
    """Return width and height of poster and preview: not larger than the video, with its aspect ratio."""
    width = min(width, video.width, max(1, video.width * MAX_HEIGHT // video.height))
    return _even(width), _even(round(video.height * width / video.width))


def _even(side: int) -> int:
    """Return an even side: encoders halve the resolution of colour."""
    return max(2, side // 2 * 2)
