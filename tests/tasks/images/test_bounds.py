"""Limits: hostile pictures cost little, and honest ones have a bounded cost."""

IMPORTS = """
import io
from pathlib import Path
from resultstore import BadInput
from resultstore_tasks.images import vips
for _ in vips.copies(io.BytesIO(Path({warm!r}).read_bytes()), [64], format="webp"):
    pass  # what libvips loads once is not counted
"""
BODY = """
try:
    with Path({picture!r}).open("rb") as stream:
        said = str([(one.width, one.height) for one in vips.copies(stream, {widths}, format={format!r})])
except BadInput as reason:
    said = str(reason)
"""


def cost(measured, tmp_path, *, warm: bytes, content: bytes, widths=(1600, 800, 200), format="webp"):
    (tmp_path / "warm").write_bytes(warm)
    (tmp_path / "picture").write_bytes(content)
    return measured(
        IMPORTS.format(warm=str(tmp_path / "warm")),
        BODY.format(picture=str(tmp_path / "picture"), widths=widths, format=format),
    )


def test_decompression_bomb_is_refused_from_its_header(measured, tmp_path, china, bomb):
    assert 300_000 < len(bomb) < 600_000

    spent = cost(measured, tmp_path, warm=china, content=bomb)

    assert spent["said"] == "it has 3,600 megapixels, over the cap of 200; send a smaller one"
    assert spent["cpu_s"] < 5  # decoding 3,600 megapixels takes more than a minute
    assert spent["growth_mib"] < 16


def test_large_photo_is_scaled_while_it_is_read(measured, tmp_path, china):
    content = large_photo(china)

    spent = cost(measured, tmp_path, warm=china, content=content)

    assert spent["said"] == "[(200, 133), (800, 534), (1600, 1067)]"
    assert spent["growth_mib"] < 64  # 72 MB when decoded
    assert spent["cpu_s"] < 3


def large_photo(china: bytes) -> bytes:
    """Enlarge the photo to 6000 x 4003 pixels with libvips."""
    from resultstore_tasks.images.vips import pyvips  # noqa: PLC0415 - only here

    return pyvips.Image.thumbnail_buffer(china, 6000, size="up").jpegsave_buffer(Q=90)
