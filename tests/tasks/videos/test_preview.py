"""Videos: colours and sizes of real films, judged by their own numbers and by Pillow."""

import subprocess

import numpy as np
import pytest
from PIL import Image

from resultstore_tasks.videos import ffmpeg
from resultstore_tasks.videos.ffprobe import probe
from tests.tasks.videos.films import (
    BARS,
    BT601,
    BT709,
    CORNERS,
    FFMPEG,
    NEAR,
    TO_2020,
    X264,
    X265,
    bars,
    colors,
    corners,
    film,
    hlg,
    linear,
    off,
    pieces,
    pq,
    streams,
    turned,
)


@pytest.mark.parametrize(
    ("size", "matrix", "full", "said"),
    [
        ((1280, 720), "bt709", False, BT709),
        ((1280, 720), "bt709", False, ()),
        ((320, 180), "bt709", False, BT709),
        ((320, 180), "smpte170m", False, BT601),
        ((320, 180), "smpte170m", False, ()),
        ((1280, 720), "smpte170m", False, BT601),
        ((320, 180), "smpte170m", True, ("-colorspace", "bt470bg", "-color_range", "pc")),
        ((320, 180), "bt709", True, (*BT709, "-color_range", "pc")),
        ((320, 180), "bt2020nc", False, ("-colorspace", "bt2020nc", "-color_primaries", "bt709")),
    ],
    ids=["hd", "hd-silent", "sd-709", "sd", "sd-silent", "hd-601", "full", "full-709", "matrix-2020"],
)
def test_every_piece_has_the_films_colours(tmp_path, size, matrix, full, said):
    path = film(tmp_path / "video.mp4", bars(*size), *X264, *said, matrix=matrix, full=full)

    found = {name: off(colors(picture)) for name, picture in pieces(path).items()}

    assert max(found.values()) <= NEAR, found


def test_the_bars_of_a_broadcaster_keep_their_colours(tmp_path):
    path = tmp_path / "video.mp4"
    source = ("-f", "lavfi", "-i", "smptehdbars=s=1280x720:r=10:d=1")  # its own numbers are BT.709
    subprocess.run([*FFMPEG, *source, "-pix_fmt", "yuv420p", *X264, *BT709, str(path)], check=True)

    for picture in pieces(path).values():
        yellow, red = picture[100, 200], picture[100, 450]
        assert np.abs(yellow - (180, 180, 12)).max() <= 14  # SMPTE RP 219: 75 % bars
        assert np.abs(red - (180, 12, 12)).max() <= 14


@pytest.mark.parametrize("curve", ["smpte2084", "arib-std-b67"])
def test_high_dynamic_range_video_is_not_grey(tmp_path, curve):
    broad = linear(bars(320, 180)) @ TO_2020.T
    numbers = pq(broad * 203) if curve == "smpte2084" else hlg(broad * 0.265)  # its white: 75 % (ITU-R BT.2408)
    said = ("-colorspace", "bt2020nc", "-color_primaries", "bt2020", "-color_trc", curve)
    path = film(tmp_path / "video.mp4", numbers, *X265, *said, matrix="bt2020nc", bits=10)

    for name, picture in pieces(path).items():
        found = np.array(colors(picture), float)
        bright = np.array(BARS) > 100
        assert found[bright].min() > 140, (name, found)  # 192, of which a curve for highlights takes some
        assert found[~bright].max() < 48, (name, found)


def test_wide_gamut_becomes_bt709(tmp_path):
    numbers = np.power(np.power(bars(320, 180), 2.4) @ TO_2020.T, 1 / 2.4)  # as screens show them (ITU-R BT.1886)
    said = ("-colorspace", "bt2020nc", "-color_primaries", "bt2020", "-color_trc", "bt2020-10")
    path = film(tmp_path / "video.mp4", numbers, *X265, *said, matrix="bt2020nc", bits=10)

    found = {name: off(colors(picture)) for name, picture in pieces(path).items()}

    assert max(found.values()) <= NEAR + 4, found


# a, b, c, d of the display matrix, the origin it needs, and where each corner of the stored picture is shown.
TURNS = {
    "as it is": ((1, 0, 0, 1), (0, 1, 2, 3)),
    "mirrored": ((-1, 0, 0, 1), (1, 0, 3, 2)),
    "upside down": ((-1, 0, 0, -1), (3, 2, 1, 0)),
    "flipped": ((1, 0, 0, -1), (2, 3, 0, 1)),
    "transposed": ((0, 1, 1, 0), (0, 2, 1, 3)),
    "right": ((0, 1, -1, 0), (2, 0, 3, 1)),
    "transversed": ((0, -1, -1, 0), (3, 1, 2, 0)),
    "left": ((0, -1, 1, 0), (1, 3, 0, 2)),
}


@pytest.mark.parametrize("turn", TURNS)
def test_every_piece_is_upright(tmp_path, turn):
    matrix, order = TURNS[turn]
    flat = film(tmp_path / "flat.mp4", corners(320, 180), *X264, *BT709, matrix="bt709")
    path = tmp_path / "video"
    path.write_bytes(turned(flat.read_bytes(), matrix))
    size = (320, 180) if matrix[0] else (180, 320)

    video = probe(path)

    assert (video.width, video.height) == size
    for name, picture in pieces(path).items():
        height, width, _ = picture.shape
        assert (width, height) == size, name
        places = [(height // 4, width // 4), (height // 4, -width // 4)]
        places += [(-height // 4, width // 4), (-height // 4, -width // 4)]
        found = [tuple(round(one) for one in picture[at]) for at in places]
        assert off(found, [CORNERS[one] for one in order]) <= NEAR, (name, found)


@pytest.mark.parametrize(
    ("ratio", "turn", "size"),
    [("2/1", "as it is", (640, 180)), ("1/2", "as it is", (160, 180)), ("2/1", "right", (180, 640))],
)
def test_pieces_of_an_anamorphic_film_have_square_pixels(tmp_path, ratio, turn, size):
    flat = film(tmp_path / "flat.mp4", bars(320, 180), *X264, "-vf", f"setsar={ratio}", matrix="bt709")
    path = tmp_path / "video"
    path.write_bytes(turned(flat.read_bytes(), TURNS[turn][0]))

    video = probe(path)

    assert (video.width, video.height) == size
    assert Image.open(ffmpeg.poster(path, video, width=1920)).size == size
    preview = ffmpeg.preview(path, video, seconds=1, width=1920, format="mp4", report=lambda _: None)
    made = streams(preview)[0]
    assert (made["width"], made["height"], made["sample_aspect_ratio"]) == (*size, "1:1")


def test_a_poster_is_never_larger_than_its_film(tmp_path):
    path = film(tmp_path / "video.mp4", bars(100, 300), *X264, matrix="smpte170m")

    video = probe(path)

    assert Image.open(ffmpeg.poster(path, video, width=1920)).size == (100, 300)


def test_a_film_as_narrow_as_a_tape_fits(tmp_path):
    path = film(tmp_path / "video.mp4", bars(16, 8192), *X264, matrix="smpte170m")

    for picture in pieces(path).values():
        assert picture.shape[0] <= ffmpeg.MAX_HEIGHT
