"""Facts of a video from its header, read by ffprobe in the sandbox."""

import re
from fractions import Fraction
from pathlib import Path
from typing import Final

import msgspec

from resultstore import BadInput
from resultstore_tasks.sandbox.confined import Bounds, installed, run

MAX_DURATION_S: Final = 4 * 3600
MAX_PIXELS: Final = 8192 * 4352
MAX_STREAMS: Final = 64
MAX_PLAYED_STREAMS: Final = 16
"""Limit of video and audio streams. Films may have more subtitle streams, which are not read."""
MAX_FRAMES_PER_S: Final = 240
_LOOK: Final = Bounds(memory_mib=1024, cpu_s=15, wall_s=30, written_mib=1)
_READ_THROUGH: Final = Bounds(memory_mib=1024, cpu_s=120, wall_s=240, written_mib=1)

# Codec names, and the decoders that may read them.
PICTURES: Final = {
    "h264": "h264",
    "hevc": "hevc",
    "vp8": "vp8",
    "vp9": "vp9",
    "av1": "libdav1d,av1",
    "mpeg4": "mpeg4",
    "mjpeg": "mjpeg",
    "h263": "h263",
    "mpeg1video": "mpeg1video",
    "mpeg2video": "mpeg2video",
    "theora": "theora",
    "prores": "prores",
    "dnxhd": "dnxhd",
    "cfhd": "cfhd",
    "ffv1": "ffv1",
}
SOUNDS: Final = {
    "aac": "aac",
    "mp2": "mp2,mp2float",
    "mp3": "mp3,mp3float",
    "opus": "opus",
    "vorbis": "vorbis",
    "flac": "flac",
    "alac": "alac",
    "ac3": "ac3",
    "eac3": "eac3",
    "dts": "dca",
    "amr_nb": "amrnb",
    "amr_wb": "amrwb",
    **{name: name for name in ("pcm_u8", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be")},
    **{name: name for name in ("pcm_s32le", "pcm_s32be", "pcm_f32le", "pcm_f32be")},
}
# An HLS playlist or an ffconcat script that is named .mp4 would open other files and URLs. So only these containers are
# read, only from files, and only these decoders read tracks.
SAFELY: Final = (
    "-protocol_whitelist",
    "file,pipe",
    "-format_whitelist",
    "mov,mp4,matroska,webm",
    "-codec_whitelist",
    ",".join([*PICTURES.values(), *SOUNDS.values()]),
)
_ENTRIES: Final = (
    "stream=index,codec_type,codec_name,width,height,avg_frame_rate,sample_aspect_ratio,"
    "color_space,color_transfer,color_primaries:stream_disposition=attached_pic:stream_side_data=rotation:format=duration"
)
_BROAD: Final = frozenset({"bt2020", "smpte431", "smpte432"})
_HIGH: Final = frozenset({"smpte2084", "arib-std-b67"})  # PQ and HLG (ITU-R BT.2100)
_HD_WIDTH, _HD_HEIGHT = 1280, 576


class Colors(msgspec.Struct, frozen=True, kw_only=True):
    """Colour space of a video, in ffmpeg's names of ITU-T H.273."""

    matrix: str
    transfer: str
    primaries: str

    @property
    def is_high(self) -> bool:
        """Whether it has a high dynamic range."""
        return self.transfer in _HIGH

    @property
    def is_broad(self) -> bool:
        """Whether it has colours that a screen for BT.709 cannot show."""
        return self.primaries in _BROAD


class Video(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of a video. Width and height are as players show it: upright, with square pixels."""

    width: int
    height: int
    duration_s: float
    codec: str
    picture: int
    sound: int | None
    colors: Colors

    def facts(self, prefix: str = "") -> dict[str, int | float | str]:
        """Return the facts for the metadata of an output, each name with `prefix` before it."""
        return {
            f"{prefix}width": self.width,
            f"{prefix}height": self.height,
            f"{prefix}duration_s": self.duration_s,
            f"{prefix}codec": self.codec,
        }


class _Disposition(msgspec.Struct, frozen=True):
    attached_pic: int = 0


class _SideData(msgspec.Struct, frozen=True):
    rotation: float = 0


class _Stream(msgspec.Struct, frozen=True):
    index: int = 0
    codec_type: str = ""
    codec_name: str = ""
    width: int = 0
    height: int = 0
    avg_frame_rate: str = "0/0"
    sample_aspect_ratio: str = "1:1"
    color_space: str = "unknown"
    color_transfer: str = "unknown"
    color_primaries: str = "unknown"
    disposition: _Disposition = _Disposition()
    side_data_list: tuple[_SideData, ...] = ()


class _Container(msgspec.Struct, frozen=True):
    duration: str = "0"


class _ProbeOutput(msgspec.Struct, frozen=True):
    streams: tuple[_Stream, ...] = ()
    format: _Container = _Container()


def probe(path: Path) -> Video:
    """Return the facts of the video. No frame is decoded beyond what the header needs.

    Raises BadInput if it is no video, or over a limit.
    """
    found = _found(path)
    pictures = [one for one in found.streams if one.codec_type == "video" and not one.disposition.attached_pic]
    if not pictures:
        raise BadInput("it has no moving picture, only other streams; send a video")
    first = next((one for one in pictures if one.codec_name in PICTURES), pictures[0])
    if first.codec_name not in PICTURES:
        raise BadInput(
            f"its picture is coded as {first.codec_name[:40] or 'something unknown'}, which is not read here; "
            "send H.264, HEVC, VP9, AV1 or ProRes"
        )
    sound = next((one.index for one in found.streams if one.codec_name in SOUNDS), None)
    width, height = _shown_size(first)
    _check(first, shown=(width, height), streams=found.streams)
    return Video(
        width=width,
        height=height,
        duration_s=_checked_duration_s(found.format.duration, path, first),
        codec=first.codec_name,
        picture=first.index,
        sound=sound,
        colors=_colors(first),
    )


def _found(path: Path) -> _ProbeOutput:
    # ffprobe opens a decoder for every stream and fails if one is not on the list. So here all may be opened, without
    # a byte of a track, while the list applies to those that read frames. Later, `-map` excludes the other streams.
    every = _every_decoder(path.parent)
    opened = [word for kind in "vasdt" for word in (f"-codec_whitelist:{kind}", every)]
    asked = ("-v", "error", *SAFELY, *opened, "-show_entries", _ENTRIES, "-of", "json")
    answer = run([installed("ffprobe"), *asked, path.name], folder=path.parent, bounds=_LOOK)
    try:
        return msgspec.json.decode(answer, type=_ProbeOutput)
    except msgspec.DecodeError as error:
        raise BadInput("it is no video that can be read; send MP4, MOV, WebM or Matroska") from error


def _every_decoder(folder: Path) -> str:
    listed = run([installed("ffprobe"), "-v", "error", "-decoders"], folder=folder, bounds=_LOOK).decode()
    return ",".join(re.findall(r"^ [VAS][\w.]{5} (\w+)", listed, re.MULTILINE))


def _shown_size(stream: _Stream) -> tuple[int, int]:
    """Return its size with square pixels, rotated by its display matrix."""
    wide, _, high = stream.sample_aspect_ratio.partition(":")
    ratio = Fraction(int(wide), int(high)) if wide.isdecimal() and high.isdecimal() and int(high) else Fraction(0)
    width = round(stream.width * (ratio or 1))
    turned = max((abs(one.rotation) % 180 for one in stream.side_data_list), default=0)
    return (stream.height, width) if abs(turned - 90) < 1 else (width, stream.height)


def _colors(stream: _Stream) -> Colors:
    """Return the colours that the stream names, or those that players assume."""
    high = stream.color_transfer in _HIGH
    usual = "bt2020nc" if high else "bt709" if _is_hd(stream) else "smpte170m"
    return Colors(
        matrix=_known_or_empty(stream.color_space) or usual,
        transfer=_known_or_empty(stream.color_transfer) or "bt709",
        primaries=_known_or_empty(stream.color_primaries) or ("bt2020" if high else "bt709"),
    )


def _known_or_empty(name: str) -> str:
    return "" if name in {"unknown", "unspecified", "reserved", "N/A"} else name


def _is_hd(stream: _Stream) -> bool:
    return stream.width >= _HD_WIDTH or stream.height > _HD_HEIGHT


def _checked_duration_s(header: str, path: Path, picture: _Stream) -> float:
    try:
        duration_s = float(header)
    except ValueError:
        duration_s = 0.0
    if not duration_s > 0:
        # The header of a browser's recording has no length: it was written before the length was known.
        duration_s = _read_through_s(path, picture=picture.index) or 1 / (_frames_per_s(picture) or 25)
    if duration_s > MAX_DURATION_S:
        raise BadInput(f"it has {duration_s:,.0f} seconds; send a video within {MAX_DURATION_S // 3600} hours and 8K")
    return round(duration_s, 3)


def _read_through_s(path: Path, *, picture: int) -> float:
    """Return the length in seconds from the packets, without decoding them."""
    where = ("-i", path.name, "-map", f"0:{picture}", "-c", "copy", "-progress", "pipe:1", "-f", "null", "-")
    lasted_us = 0

    def on_line(line: bytes) -> None:
        nonlocal lasted_us
        name, _, value = line.decode(errors="replace").strip().partition("=")
        if name == "out_time_us" and value.isdecimal():
            lasted_us = max(lasted_us, int(value))

    command = [installed("ffmpeg"), "-v", "error", "-nostdin", *SAFELY, *where]
    run(command, folder=path.parent, bounds=_READ_THROUGH, on_line=on_line)
    return lasted_us / 1_000_000


def _frames_per_s(stream: _Stream) -> float:
    top, _, bottom = stream.avg_frame_rate.partition("/")
    return int(top) / int(bottom) if top.isdecimal() and bottom.isdecimal() and int(bottom) else 0.0


def _check(first: _Stream, *, shown: tuple[int, int], streams: tuple[_Stream, ...]) -> None:
    rate = _frames_per_s(first)
    played = sum(one.codec_type in {"video", "audio"} for one in streams)
    over = {
        f"{first.width} x {first.height} pixels": first.width * first.height > MAX_PIXELS,
        f"{shown[0]} x {shown[1]} pixels when shown": shown[0] * shown[1] > MAX_PIXELS,
        "no size": min(first.width, first.height, *shown) < 1,
        f"{rate:,.0f} frames a second": rate > MAX_FRAMES_PER_S,
        f"{len(streams)} streams": len(streams) > MAX_STREAMS,
        f"{played} streams of pictures and sound": played > MAX_PLAYED_STREAMS,
    }
    wrong = [what for what, is_over in over.items() if is_over]
    if wrong:
        raise BadInput(f"it has {', '.join(wrong)}; send a video within {MAX_DURATION_S // 3600} hours and 8K")
