"""Conversion to sRGB of pictures with a high dynamic range or a wide gamut, as AVIF and PNG may have.

libvips assumes sRGB if there is no ICC profile, which makes PQ and HLG look grey.
"""

from functools import cache
from typing import Final

import numpy as np
import pyvips

from resultstore_tasks.images.cicp import BT2020, DISPLAY_P3, HLG, LINEAR, PQ, Cicp

_TOP: Final = 65535
_WHITE: Final = 203.0
"""Reference white in cd/m²; highlights are brighter (ITU-R BT.2408)."""
_HLG_PEAK: Final = 1000.0
_PQ_PEAK: Final = 10_000.0
_KNEE: Final = 0.3
"""Share of white up to which nothing is changed; above it, highlights are compressed."""
# Matrices from linear light of these primaries to BT.709 (ITU-R BT.2087; SMPTE EG 432-1).
_TO_BT709: Final = {
    BT2020: [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    DISPLAY_P3: [[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]],
}


def to_srgb(image: pyvips.Image, cicp: Cicp) -> pyvips.Image:
    """Return the picture with three 8-bit bands of sRGB, and its alpha."""
    deep = image if image.format == "ushort" else (image.cast("uchar") * 257).cast("ushort")
    alpha = deep.extract_band(deep.bands - 1) if deep.hasalpha() else None
    colors = deep if alpha is None else deep.extract_band(0, n=deep.bands - 1)
    if colors.bands == 1:
        colors = colors.bandjoin([colors, colors])
    light = colors.maplut(_table(cicp.transfer))
    if cicp.transfer == HLG:
        # The system gamma of a display of 1,000 cd/m² (ITU-R BT.2100, table 5).
        light = light * ((light.recomb([[0.2627, 0.6780, 0.0593]]) ** 0.2) * (_HLG_PEAK / _WHITE))
    if cicp.primaries in _TO_BT709:
        light = light.recomb(_TO_BT709[cicp.primaries])
    if cicp.is_high:
        light = light * _tone_map(light, peak=(_PQ_PEAK if cicp.transfer == PQ else _HLG_PEAK) / _WHITE)
    made = (light * _TOP).cast("ushort").maplut(_srgb_table()).copy(interpretation="srgb")
    return made if alpha is None else made.bandjoin((alpha / 257).cast("uchar")).copy(interpretation="srgb")


def _tone_map(light: pyvips.Image, *, peak: float) -> pyvips.Image:
    """Return the factor of each pixel that brings its brightest band to at most white (tone mapping).

    The curve is ffmpeg's `mobius` (libavfilter/vf_tonemap.c), so that videos and pictures look alike.
    """
    brightest = light[0].maxpair(light[1]).maxpair(light[2])
    a = -_KNEE * _KNEE * (peak - 1) / (_KNEE * _KNEE - 2 * _KNEE + peak)
    b = (_KNEE * _KNEE - 2 * _KNEE * peak + peak) / max(peak - 1, 1e-6)
    curve = (brightest + a) * ((b * b + 2 * b * _KNEE + _KNEE * _KNEE) / (b - a)) / (brightest + b)
    high = brightest > _KNEE
    return high.ifthenelse(curve / high.ifthenelse(brightest, 1), 1)


@cache
def _table(transfer: int) -> pyvips.Image:
    """Return the light of each of 65,536 levels, where white is 1. For HLG it is the light of the scene."""
    level = np.arange(_TOP + 1) / _TOP
    if transfer == PQ:  # SMPTE ST 2084, equation 4
        root = np.power(level, 1 / 78.84375)
        ratio = np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)
        light = np.power(ratio, 16384 / 2610) * (_PQ_PEAK / _WHITE)
    elif transfer == HLG:  # ITU-R BT.2100, table 5
        light = np.where(level <= 0.5, level**2 / 3, (np.exp((level - 0.55991073) / 0.17883277) + 0.28466892) / 12)  # noqa: PLR2004
    elif transfer == LINEAR:
        light = level
    else:  # IEC 61966-2-1, which displays also use for BT.709 and BT.2020
        light = np.where(level <= 0.04045, level / 12.92, np.power((level + 0.055) / 1.055, 2.4))  # noqa: PLR2004
    return _as_table(light.astype(np.float32), "float")


@cache
def _srgb_table() -> pyvips.Image:
    """Return the level of sRGB for each of 65,536 steps of light."""
    light = np.arange(_TOP + 1) / _TOP
    level = np.where(light <= 0.0031308, light * 12.92, 1.055 * np.power(light, 1 / 2.4) - 0.055)  # noqa: PLR2004
    return _as_table(np.round(level * 255).astype(np.uint8), "uchar")


def _as_table(values: np.ndarray, format: str) -> pyvips.Image:
    return pyvips.Image.new_from_memory(values.tobytes(), _TOP + 1, 1, 1, format)
