"""Pictures: copies of real photos, and refusals that say why."""

import io

import pytest
from PIL import Image

from resultstore import BadInput, BlobStoreUnavailable
from resultstore_tasks.images import formats, vips

FORMATS = ("webp", "jpeg", "avif")


def made(content: bytes, *widths: int, format: str = "webp") -> list[formats.Picture]:
    return list(vips.copies(io.BytesIO(content), widths, format=format))


def opened(picture: formats.Picture) -> Image.Image:
    return Image.open(io.BytesIO(picture.encoded))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize("format", FORMATS)
def test_each_copy_decodes_to_its_stated_size(china, format):
    copies = made(china, 320, 80, format=format)

    assert [(one.width, one.height) for one in copies] == [(80, 53), (320, 214)]
    for copy in copies:
        image = opened(copy)
        image.load()
        assert (image.format, image.size) == (format.upper(), (copy.width, copy.height))


def test_no_copy_is_enlarged_or_duplicated(china):
    assert [(one.width, one.height) for one in made(china, 1600, 800, 200, 200)] == [(200, 133), (640, 427)]


def test_heights_are_computed_from_the_original():
    original = encoded(Image.new("RGB", (1000, 667)), "JPEG")

    # 667/1000 of 5 is 3.3; from the copy of 7 x 5 it would be 3.6.
    assert [(one.width, one.height) for one in made(original, 7, 5)] == [(5, 3), (7, 5)]


def test_rotated_picture_is_turned_upright():
    image = Image.new("RGB", (300, 200), "white")
    image.paste("red", (0, 0, 300, 40))  # the stored top; turned by orientation 6 it is the right edge
    exif = Image.Exif()
    exif[0x0112] = 6

    (copy,) = made(encoded(image, "JPEG", exif=exif, quality=95), 100, format="jpeg")

    upright = opened(copy).convert("RGB")
    assert upright.size == (100, 150)
    red, green, _ = upright.getpixel((97, 75))
    assert red > 200
    assert green < 80


def test_place_and_camera_are_not_kept(china):
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    exif.get_ifd(0x8825)[1] = "N"
    tagged = encoded(Image.open(io.BytesIO(china)), "JPEG", exif=exif, icc_profile=b"no profile")

    for kind in FORMATS:
        (copy,) = made(tagged, 64, format=kind)
        assert b"SecretCamera" not in copy.encoded
        assert not opened(copy).getexif()
        assert "icc_profile" not in opened(copy).info


@pytest.mark.parametrize("mode", ["CMYK", "L", "RGBA", "LA", "P", "I;16", "1"])
def test_every_colour_model_becomes_a_jpeg(mode):
    kind = "JPEG" if mode == "CMYK" else "PNG"
    image = Image.new(mode, (64, 48), 1 if mode == "1" else None)

    (copy,) = made(encoded(image, kind), 32, format="jpeg")

    opened(copy).load()
    assert opened(copy).mode in {"RGB", "L"}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "GIF"])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.97])
def test_truncated_picture_is_refused(china, kind, share):
    whole = encoded(Image.open(io.BytesIO(china)), kind)
    assert made(whole, 100)

    with pytest.raises(BadInput, match="damaged or cut short; send the whole file"):
        made(whole[: int(len(whole) * share)], 100)


@pytest.mark.parametrize("kind", ["PNG", "AVIF", "GIF"])
def test_picture_with_changed_bytes_is_refused(china, kind):
    whole = bytearray(encoded(Image.open(io.BytesIO(china)), kind))
    middle = len(whole) // 2
    whole[middle : middle + 200] = bytes(byte ^ 0x5A for byte in whole[middle : middle + 200])

    with pytest.raises(BadInput, match="cannot be decoded"):
        made(bytes(whole), 100)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", r"PostScript \(EPS\), whatever its name says"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>', "SVG"),
        (b'\xef\xbb\xbf \n<?xml version="1.0"?><svg/>', "SVG"),
        (b"%PDF-1.7\n", "PDF"),
        (b"II*\0" + bytes(40), "TIFF"),
        (b"\0\0\0\x20ftypheic" + bytes(40), "HEIC"),
        (b"\0\0\0\x20ftypisom" + bytes(40), "a film or a sound"),
        (b"just words", "no known picture format"),
    ],
)
def test_content_of_another_type_is_refused(content, reason):
    with pytest.raises(BadInput, match=reason) as refused:
        made(content, 100)
    assert "send" in str(refused.value)


def test_libvips_opens_only_listed_formats():
    tiff = encoded(Image.new("L", (8, 8)), "TIFF")

    with pytest.raises(vips.pyvips.Error):
        vips.pyvips.Image.new_from_buffer(tiff, "")
    with pytest.raises(vips.pyvips.Error):
        vips.pyvips.Image.new_from_buffer(b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "")


def test_interlaced_picture_has_a_lower_cap(monkeypatch, china):
    monkeypatch.setattr(formats, "MAX_WHOLE_PIXELS", 200_000)
    image = Image.open(io.BytesIO(china))

    assert made(encoded(image, "JPEG"), 100)
    with pytest.raises(BadInput, match="over the cap of 0 for an interlaced JPEG"):
        made(encoded(image, "JPEG", progressive=True), 100)
    with pytest.raises(BadInput, match="for a WebP"):
        made(encoded(image, "WEBP"), 100)


RICH = "over the cap of 0 for {} with transparency, several frames or more than 8 bits"


def test_a_rich_picture_has_a_lower_cap(monkeypatch, china):
    monkeypatch.setattr(formats, "MAX_RICH_PIXELS", 200_000)
    image = Image.open(io.BytesIO(china))

    assert made(encoded(image, "AVIF"), 100)
    image.putalpha(128)
    for kind, name in (("AVIF", "an AVIF"), ("WEBP", "a WebP")):
        with pytest.raises(BadInput, match=RICH.format(name)):
            made(encoded(image, kind), 100)
    frames = [Image.new("RGB", (640, 427), color) for color in ("red", "blue")]
    with pytest.raises(BadInput, match=RICH.format("a WebP")):
        made(encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]), 100)
    assert made(encoded(image, "PNG"), 100)
    deep = vips.pyvips.Image.new_from_buffer(china, "").cast("ushort") * 257
    with pytest.raises(BadInput, match=RICH.format("an AVIF")):
        made(deep.cast("ushort").copy(interpretation="rgb16").write_to_buffer(".avif", bitdepth=10), 100)


def test_a_gif_has_the_same_lower_cap(monkeypatch, china):
    monkeypatch.setattr(formats, "MAX_RICH_PIXELS", 200_000)

    gif = encoded(Image.open(io.BytesIO(china)), "GIF", interlace=False)
    with pytest.raises(BadInput, match="over the cap of 0 for a GIF"):
        made(gif, 100)
    monkeypatch.setattr(formats, "MAX_GIF_BYTES", len(gif) - 1)
    with pytest.raises(BadInput, match=r"bytes, over the cap of .* for a GIF; send a video"):
        made(gif, 100)


def test_a_copy_with_transparency_has_a_lower_cap(monkeypatch, china):
    monkeypatch.setattr(vips, "MAX_RICH_OUTPUT_PIXELS", 200_000)
    clear = encoded(Image.open(io.BytesIO(china)).convert("RGBA"), "PNG")

    assert made(china, 640, format="avif")
    assert made(clear, 640, format="jpeg")
    for kind in ("avif", "webp"):
        with pytest.raises(BadInput, match="ask for a smaller width"):
            made(clear, 640, format=kind)


def test_an_animation_of_too_many_frames_is_refused(monkeypatch):
    monkeypatch.setattr(formats, "MAX_FRAMES", 3)
    frames = [Image.new("L", (9, 9), 50 * n) for n in range(5)]

    with pytest.raises(BadInput, match="5 frames, over the cap of 3"):
        made(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), 9)


def test_copy_of_extreme_height_is_refused():
    with pytest.raises(BadInput, match="ask for a smaller width"):
        formats.plan_sizes((5000, 60_000), [5000], max_side=65_500)


def test_store_error_is_not_a_damaged_picture(china):
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 60_000:
                raise BlobStoreUnavailable("the store went away")
            return super().read(min(size or 0, 4096))

    with pytest.raises(BlobStoreUnavailable, match="went away"):
        list(vips.copies(Failing(china), [100], format="webp"))
