"""Formats: pictures of phones, browsers and cameras, checked with Pillow and their own numbers."""

import io
import re
import zlib

import numpy as np
import pytest
from PIL import Image

from resultstore import BadInput
from resultstore_tasks.images import formats, vips
from tests.tasks.videos.films import BARS, CORNERS, NEAR, TO_2020, bars, colors, corners, hlg, linear, off, pq

FORMATS = ("webp", "jpeg", "avif")
# Where each corner of the stored picture is shown (EXIF 2.32, tag 0x0112), from the top left to the bottom right.
ORIENTATIONS = {
    1: (0, 1, 2, 3),
    2: (1, 0, 3, 2),
    3: (3, 2, 1, 0),
    4: (2, 3, 0, 1),
    5: (0, 2, 1, 3),
    6: (2, 0, 3, 1),
    7: (3, 1, 2, 0),
    8: (1, 3, 0, 2),
}
SIDEWAYS = (5, 6, 7, 8)


def made(content: bytes, *widths: int, format: str) -> list[np.ndarray]:
    copies = vips.copies(io.BytesIO(content), widths, format=format)
    return [np.asarray(Image.open(io.BytesIO(one.encoded)).convert("RGB"), float) for one in copies]


def encoded(picture: np.ndarray | Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(np.round(picture * 255).astype(np.uint8))
    lossless = {"JPEG": {"quality": 98, "subsampling": 0}, "AVIF": {"quality": 100, "subsampling": "4:4:4"}}
    image.save(out, kind, **{**lossless.get(kind, {"lossless": True}), **options})
    return out.getvalue()


def found_corners(picture: np.ndarray) -> list[tuple[int, ...]]:
    height, width, _ = picture.shape
    places = [(height // 4, width // 4), (height // 4, -width // 4)]
    places += [(-height // 4, width // 4), (-height // 4, -width // 4)]
    return [tuple(round(one) for one in picture[at]) for at in places]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_every_orientation_is_put_upright(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(corners(240, 160), kind, exif=exif)

    for made_of in FORMATS:
        for width, picture in zip((20, 80), made(content, 80, 20, format=made_of), strict=True):
            height = width * 3 // 2 if orientation in SIDEWAYS else round(width / 1.5)
            assert picture.shape[:2] == (height, width)
            wanted = [CORNERS[one] for one in ORIENTATIONS[orientation]]
            assert off(found_corners(picture), wanted) <= 3 * NEAR, made_of


@pytest.mark.parametrize("format", FORMATS)
def test_picture_too_high_for_format_becomes_narrower(format):
    content = encoded(Image.new("RGB", (40, 20_000), "white"), "PNG")

    copies = list(vips.copies(io.BytesIO(content), [40, 20], format=format))

    tall = Image.open(io.BytesIO(copies[-1].encoded))
    assert tall.size == (copies[-1].width, copies[-1].height)
    assert tall.size == ((40, 20_000) if format == "jpeg" else (32, 16_000))
    assert (copies[0].width, copies[0].height) == (20, 10_000)


def test_copy_never_exceeds_limits_of_its_format():
    for max_side in (16_383, 16_384):
        for size in ((1, 60_000), (7, 16_390), (1280, 20_000)):
            assert max(max(one) for one in formats.plan_sizes(size, [9, 1280], max_side=max_side)) <= max_side


def with_brands(content: bytes, major: bytes, *others: bytes) -> bytes:
    size_bytes = int.from_bytes(content[:4], "big")
    brands = b"".join(others).ljust(size_bytes - 16, b"\0")
    assert len(brands) == size_bytes - 16
    return content[:8] + major + content[12:16] + brands + content[size_bytes:]


@pytest.mark.parametrize("major", [b"mif1", b"msf1", b"avif"])
def test_avif_is_recognized_by_every_brand(major):
    content = with_brands(encoded(bars(140, 40), "AVIF"), major, b"mif1", b"avif")

    (copy,) = made(content, 140, format="jpeg")

    assert off(colors(copy)) <= NEAR


def test_a_heic_is_named_whatever_its_first_brand():
    content = with_brands(encoded(bars(140, 40), "AVIF"), b"mif1", b"mif1", b"heic")

    with pytest.raises(BadInput, match="its content is HEIC, whose codec is not part of this build; send a JPEG"):
        made(content, 140, format="jpeg")


@pytest.mark.parametrize("missing", [1, 2])
@pytest.mark.parametrize("format", FORMATS)
def test_jpeg_without_end_marker_is_accepted(china, missing, format):
    whole = made(china, 320, 80, format=format)

    cut = made(china[:-missing], 320, 80, format=format)

    assert all(np.array_equal(one, other) for one, other in zip(whole, cut, strict=True))


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"restart_marker_rows": 1}, {"restart_marker_blocks": 3}])
def test_truncated_jpeg_is_refused(china, options):
    whole = encoded(Image.open(io.BytesIO(china)).resize((160, 107)), "JPEG", **{"quality": 85, **options})
    restarts = [one.start() for one in re.finditer(rb"\xff[\xd0-\xd7]", whole)]
    ends = {*range(len(whole) - 30, len(whole) - 2), *(at + more for at in restarts[-9:] for more in (0, 1, 2))}
    for end in ends - {len(whole) - 2}:
        with pytest.raises(BadInput, match="damaged or cut short; send the whole file"):
            made(whole[:end], 100, format="jpeg")


def test_progressive_jpeg_without_last_scans_is_refused(china):
    whole = encoded(Image.open(io.BytesIO(china)), "JPEG", quality=90, progressive=True)
    assert made(whole, 100, format="jpeg")

    last_scan = whole.rindex(b"\xff\xda")
    while whole[last_scan - 4 : last_scan].count(b"\xff\xc4"):
        last_scan -= 4
    for cut in (whole.rindex(b"\xff\xc4", 0, last_scan), len(whole) - 2):
        with pytest.raises(BadInput, match="damaged or cut short"):
            made(whole[:cut], 100, format="jpeg")


def with_cicp(content: bytes, primaries: int, transfer: int) -> bytes:
    """Return the same pixels with these code points of H.273."""
    if content.startswith(b"\x89PNG"):
        body = b"cICP" + bytes([primaries, transfer, 0, 1])
        chunk = (4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
        after_ihdr = 8 + 25
        return content[:after_ihdr] + chunk + content[after_ihdr:]
    at = content.index(b"nclx") + 4
    return content[:at] + primaries.to_bytes(2, "big") + transfer.to_bytes(2, "big") + content[at + 4 :]


@pytest.mark.parametrize("kind", ["AVIF", "PNG"])
@pytest.mark.parametrize("curve", ["pq", "hlg"])
def test_high_dynamic_range_picture_is_not_grey(kind, curve):
    broad = linear(bars(280, 80)) @ TO_2020.T
    numbers = pq(broad * 203) if curve == "pq" else hlg(broad * 0.265)
    content = with_cicp(encoded(numbers, kind), 9, {"pq": 16, "hlg": 18}[curve])

    for made_of in FORMATS:
        for copy in made(content, 280, 70, format=made_of):
            found = np.array(colors(copy), float)
            bright = np.array(BARS) > 100
            assert found[bright].min() > 140, (made_of, found)
            assert found[~bright].max() < 48, (made_of, found)


# Linear BT.709 to linear Display P3, which has the same white (SMPTE EG 432-1).
TO_P3 = np.array([[0.8225, 0.1774, 0.0], [0.0332, 0.9669, 0.0], [0.0171, 0.0724, 0.9108]])


def test_a_broad_range_of_colours_becomes_srgb():
    srgb = bars(280, 80)
    light = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4) @ TO_P3.T
    numbers = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)

    for kind in ("AVIF", "PNG"):
        content = with_cicp(encoded(numbers, kind), 12, 13)
        for made_of in FORMATS:
            (copy,) = made(content, 280, format=made_of)
            assert off(colors(copy)) <= 3 * NEAR, (kind, made_of)  # 8 bits are coarse for the weakest colour


def test_high_dynamic_range_keeps_alpha_and_orientation():
    exif = Image.Exif()
    exif[0x0112] = 6
    numbers = np.round(pq(linear(corners(240, 160)) @ TO_2020.T * 203) * 255).astype(np.uint8)
    alpha = np.full((160, 240, 1), 128, np.uint8)
    image = Image.fromarray(np.concatenate([numbers, alpha], axis=-1))
    content = with_cicp(encoded(image, "PNG", exif=exif), 9, 16)

    (copy,) = vips.copies(io.BytesIO(content), [80], format="webp")

    image = Image.open(io.BytesIO(copy.encoded))
    assert (image.mode, image.size) == ("RGBA", (80, 120))
    assert abs(image.getpixel((40, 60))[3] - 128) <= 2
    red = image.getpixel((60, 30))  # the stored top left
    assert red[0] > 140
    assert max(red[1:3]) < 60


def test_grey_high_dynamic_range_picture_is_converted():
    numbers = np.round(pq(linear(np.full((40, 60), 0.5)) * 203) * 255).astype(np.uint8)
    content = with_cicp(encoded(Image.fromarray(numbers), "PNG"), 9, 16)

    (copy,) = made(content, 60, format="jpeg")

    assert np.abs(copy - 140).max() <= 4  # half of BT.709's signal is 26 % of its light: 140 of 255 in sRGB


@pytest.mark.parametrize("kind", ["AVIF", "PNG"])
def test_what_says_nothing_unusual_keeps_its_numbers(kind):
    content = with_cicp(encoded(bars(280, 80), kind), 1, 13)

    (copy,) = made(content, 280, format="jpeg")

    assert off(colors(copy)) <= NEAR


@pytest.mark.parametrize("kind", ["AVIF", "PNG"])
def test_damaged_colour_metadata_is_harmless(kind):
    content = with_cicp(encoded(bars(28, 8), kind), 9, 16)
    at = content.index(b"nclx" if kind == "AVIF" else b"cICP")
    for cut in (at - 6, at + 1, at + 5):
        with pytest.raises(BadInput):
            made(content[:cut], 14, format="webp")
    damaged = content[: at - 8] + b"\xff\xff\xff\xff" + content[at - 4 :]
    with pytest.raises(BadInput):
        made(damaged, 14, format="webp")
