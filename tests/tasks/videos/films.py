"""Films: small videos of known colours, computed here, so that ffmpeg is not its own judge."""

import json
import subprocess
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image

from resultstore_tasks.videos import ffmpeg
from resultstore_tasks.videos.ffprobe import probe

FFMPEG = ["ffmpeg", "-v", "error", "-nostdin", "-y"]
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "4")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:qp=4", "-tag:v", "hvc1")
BT709 = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")
BT601 = ("-colorspace", "smpte170m", "-color_primaries", "smpte170m", "-color_trc", "smpte170m")
NEAR = 8
"""Levels of 255 by which a colour may be off after two lossy codecs."""
# Red, green and blue of each bar (0 to 255).
BARS = ((192, 192, 192), (192, 192, 20), (20, 192, 192), (20, 192, 20), (192, 20, 192), (192, 20, 20), (20, 20, 192))
# Kr and Kb of ITU-T H.273, table 4.
WEIGHTS = {"bt709": (0.2126, 0.0722), "smpte170m": (0.299, 0.114), "bt2020nc": (0.2627, 0.0593)}
# Top left, top right, bottom left, bottom right.
CORNERS = (
    (200, 30, 30),
    (30, 200, 30),
    (30, 30, 200),
    (200, 200, 30),
)


def bars(width: int, height: int) -> np.ndarray:
    """Return the bars, side by side."""
    columns = np.array(BARS, float)[np.arange(width) * len(BARS) // width]
    return np.broadcast_to(columns, (height, width, 3)) / 255


def corners(width: int, height: int) -> np.ndarray:
    """Return four colours, one in each corner."""
    picture = np.zeros((height, width, 3))
    for color, (down, right) in zip(CORNERS, product((0, 1), repeat=2), strict=True):
        rows, columns = (slice(at * size // 2, (at + 1) * size // 2) for at, size in ((down, height), (right, width)))
        picture[rows, columns] = np.array(color) / 255
    return picture


def planes(picture: np.ndarray, *, matrix: str, full: bool = False, bits: int = 8) -> bytes:
    """Return the picture (0 to 1) as Y'CbCr 4:2:0 by the formulas of ITU-T H.273, 8.3."""
    red, blue = WEIGHTS[matrix]
    r, g, b = picture[..., 0], picture[..., 1], picture[..., 2]
    y = red * r + (1 - red - blue) * g + blue * b
    cb, cr = (b - y) / (2 * (1 - blue)), (r - y) / (2 * (1 - red))
    step = 2 ** (bits - 8)
    if full:
        levels = (y * 255 * step, cb * 255 * step + 128 * step, cr * 255 * step + 128 * step)
    else:
        levels = ((219 * y + 16) * step, (224 * cb + 128) * step, (224 * cr + 128) * step)
    whole = (levels[0], *(one[::2, ::2] for one in levels[1:]))
    kind = "<u2" if bits > 8 else "u1"
    return b"".join(np.clip(np.round(one), 0, 2**bits - 1).astype(kind).tobytes() for one in whole)


def film(path: Path, picture: np.ndarray, *options: str, matrix: str, full: bool = False, bits: int = 8) -> Path:
    """Encode ten frames of the picture; `options` set its codec and its metadata."""
    height, width, _ = picture.shape
    kind = "yuvj420p" if full else "yuv420p10le" if bits > 8 else "yuv420p"
    raw = ["-f", "rawvideo", "-pix_fmt", kind, "-s", f"{width}x{height}", "-r", "10", "-i", "-"]
    frames = planes(picture, matrix=matrix, full=full, bits=bits) * 10
    subprocess.run([*FFMPEG, *raw, "-pix_fmt", kind, *options, str(path)], input=frames, check=True)
    return path


def shown(path: Path) -> np.ndarray:
    """The first frame of an H.264 or VP8 film in red, green and blue (0 to 255), by what the film says."""
    said = streams(path)[0]
    assert said["pix_fmt"] == "yuv420p"
    assert said["color_range"] == "tv"
    width, height = said["width"], said["height"]
    read = ["-i", str(path), "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]
    content = np.frombuffer(subprocess.run([*FFMPEG, *read], capture_output=True, check=True).stdout, "u1").astype(
        float
    )
    y = (content[: width * height].reshape(height, width) - 16) / 219
    chroma = content[width * height :].reshape(2, (height + 1) // 2, (width + 1) // 2)
    cb, cr = ((one.repeat(2, 0).repeat(2, 1)[:height, :width] - 128) / 224 for one in chroma)
    red, blue = WEIGHTS[said["color_space"]]
    r, b = y + 2 * (1 - red) * cr, y + 2 * (1 - blue) * cb
    g = (y - red * r - blue * b) / (1 - red - blue)
    return np.clip(np.stack([r, g, b], -1) * 255, 0, 255)


def streams(path: Path) -> list[dict]:
    """Return what ffprobe reports of each stream."""
    asked = ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-of", "json", str(path)]
    return json.loads(subprocess.run(asked, capture_output=True, check=True).stdout)["streams"]


def turned(content: bytes, matrix: tuple[int, int, int, int], *, moved: tuple[int, int] = (0, 0)) -> bytes:
    """Return an MP4 whose first track has this display matrix (ISO/IEC 14496-12, 8.3.2)."""
    at = content.index(b"tkhd") + 4 + 40
    a, b, c, d = (one * 0x10000 for one in matrix)
    values = (a, b, 0, c, d, 0, moved[0] * 0x10000, moved[1] * 0x10000, 0x40000000)
    return content[:at] + b"".join(one.to_bytes(4, "big", signed=True) for one in values) + content[at + 36 :]


def pieces(path: Path, *, width: int = 640) -> dict[str, np.ndarray]:
    """Return poster and preview of the video at `path`, as red, green and blue."""
    video = probe(path)
    made = {"jpeg": np.asarray(Image.open(ffmpeg.poster(path, video, width=width)).convert("RGB"), float)}
    for kind in ("mp4", "webm"):
        preview = ffmpeg.preview(path, video, seconds=1, width=width, format=kind, report=lambda _: None)
        made[kind] = shown(preview)
    return made


def colors(picture: np.ndarray) -> list[tuple[int, ...]]:
    """Return the colour in the middle of each bar."""
    height, width, _ = picture.shape
    middles = [int((number + 0.5) * width / len(BARS)) for number in range(len(BARS))]
    return [tuple(round(one) for one in picture[height // 2, at]) for at in middles]


def off(found: list[tuple[int, ...]], wanted=BARS) -> float:
    return float(np.abs(np.array(found, float) - np.array(wanted, float)).max())


def pq(light: np.ndarray) -> np.ndarray:
    """Encode cd/m² (SMPTE ST 2084, equation 5)."""
    part = np.power(light / 10_000, 2610 / 16384)
    return np.power((0.8359375 + 18.8515625 * part) / (1 + 18.6875 * part), 78.84375)


def hlg(light: np.ndarray) -> np.ndarray:
    """Encode scene light from 0 to 1 (ARIB STD-B67)."""
    high = 0.17883277 * np.log(np.maximum(12 * light - 0.28466892, 1e-9)) + 0.55991073
    return np.where(light <= 1 / 12, np.sqrt(3 * light), high)


# Linear BT.709 to linear BT.2020 (ITU-R BT.2087, table 4).
TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])


def linear(picture: np.ndarray) -> np.ndarray:
    """Decode with the inverse of BT.709's curve."""
    return np.where(picture < 0.081, picture / 4.5, np.power((picture + 0.099) / 1.099, 1 / 0.45))
