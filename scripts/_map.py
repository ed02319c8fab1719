"""The picture of the layers, drawn from the table that the layer test checks."""

import runpy
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "layers.svg"
WIDTH, ROW, GAP, LEFT = 920, 54, 12, 20

HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"
font-family="Helvetica, Arial, sans-serif" aria-labelledby="t d">
<title id="t">The layers of resultstore</title>
<desc id="d">From the top down: {order}. A package imports only from packages below it.</desc>
<!-- Drawn by `make docs` from tests/layers.py: edit that. -->
<rect width="{width}" height="{height}" rx="10" fill="#ffffff"/>
"""
BOX = """<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" fill="{fill}" stroke="#334155"/>
<text x="{middle}" y="{first}" text-anchor="middle" font-size="15" font-weight="bold" fill="#0f172a">{name}</text>
"""
PARTS = '<text x="{middle}" y="{second}" text-anchor="middle" font-size="11.5" fill="#475569">{parts}</text>\n'


def layers() -> list[list[str]]:
    """Return the packages of each layer, the lowest layer first."""
    return [sorted(packages) for packages in runpy.run_path(str(ROOT / "tests" / "layers.py"))["LAYERS"]]


def parts_of(package: str) -> list[str]:
    """Return the names of the packages inside `package`."""
    return sorted(path.parent.name for path in (ROOT / "resultstore" / package).glob("*/__init__.py"))


def picture() -> str:
    """Return the layers as SVG, the highest on top."""
    rows = layers()[::-1]
    order = "; ".join(", ".join(row) for row in rows)
    height = len(rows) * (ROW + GAP) + GAP
    boxes = "".join(box for number, row in enumerate(rows) for box in _row(row, GAP + number * (ROW + GAP)))
    return HEAD.format(width=WIDTH, height=height, order=order) + boxes + "</svg>\n"


def _row(packages: list[str], y: int) -> Iterator[str]:
    width = (WIDTH - 2 * LEFT - GAP * (len(packages) - 1)) // len(packages)
    for number, name in enumerate(packages):
        x, parts = LEFT + number * (width + GAP), parts_of(name)
        fill = "#f0fdfa" if parts else "#f8fafc"
        middle, first = x + width // 2, y + (24 if parts else 32)
        yield BOX.format(x=x, y=y, width=width, height=ROW, middle=middle, first=first, fill=fill, name=name)
        if parts:
            yield PARTS.format(middle=middle, second=y + 43, parts=" · ".join(parts))
