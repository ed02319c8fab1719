"""Most expensive input of each task, and its memory limit in the table of docs/security.md."""

import re
from pathlib import Path
from typing import NamedTuple

SECURITY = Path(__file__).parents[2] / "docs/security.md"

TABLES = """
import io
from resultstore import BadInput
from resultstore_tasks.models import task as models
from resultstore_tasks.report import task as pdf
from resultstore_tasks.report.cover import CoverLabels
from resultstore_tasks.tables import convert as tables
from resultstore_tasks.csv_reader.reader import Table
from resultstore_tasks.tables.preview import head_of
class Nowhere:
    def write(self, data):
        return len(data)
def convert(content):
    return tables.to_parquet(io.BytesIO(content), Nowhere()).rows
def preview(content):
    return len(head_of(Table(io.BytesIO(content), caps=tables.CAPS)).rows)
def report(content):
    return pdf.write(pdf.facts_of(io.BytesIO(content)), Nowhere(), labels=CoverLabels(title="t", source="t.csv"))
def train(content, kind):
    trained = models.fit_model(models.read_examples(io.BytesIO(content), target="y"), kind=kind)
    return len(models.as_skops(trained))
def names(count):
    return ",".join(f"c{n}" for n in range(count)).encode()
def noise(rows, columns, classes):
    import numpy as np
    dice = np.random.default_rng(1)
    text = io.BytesIO(names(columns) + b",y\\n")
    text.seek(0, 2)
    for _ in range(0, rows, 1000):
        some = np.column_stack([dice.integers(0, 9999, (1000, columns)), dice.integers(0, classes, 1000)])
        np.savetxt(text, some, fmt="%d", delimiter=",")
    return text.getvalue()
WARM = noise(1000, 3, 2)
convert(WARM), report(WARM), train(WARM, "logistic"), train(WARM, "forest")  # what is loaded once is not counted
"""

PICTURES = """
import io; from resultstore import BadInput
from resultstore_tasks.images import vips
from resultstore_tasks.images.vips import pyvips
def made(width, height, suffix, bands=3, format="uchar", **options):
    grain = pyvips.Image.gaussnoise(width, height, mean=128, sigma=20)
    return io.BytesIO(grain.bandjoin([grain] * (bands - 1)).cast(format).write_to_buffer(suffix, **options))
def resize(stream, widths, format):
    return [len(one.encoded) for one in vips.copies(stream, widths, format=format)][-1]
resize(made(64, 64, ".png"), [32], "webp")
"""

DOCUMENTS = """
import io
from pathlib import Path
from tempfile import TemporaryDirectory
from reportlab.pdfgen.canvas import Canvas
from resultstore import BadInput
from resultstore_tasks.documents.task import draw_cover
def cover(content, width):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "document.pdf"
        path.write_bytes(content)
        return draw_cover(path, width=width)[1].width
def pages(count, size):
    content = io.BytesIO()
    canvas = Canvas(content, pagesize=size)
    for _ in range(count):
        canvas.showPage()
    canvas.save()
    return content.getvalue()
"""

VIDEOS = """
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from resultstore import BadInput
from resultstore_tasks.videos import ffmpeg
from resultstore_tasks.videos.ffprobe import probe
def preview(size, codec):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "video"
        source = ["-f", "lavfi", "-i", f"testsrc2=s={size}:r=10:d=1", "-frames:v", "4"]
        command = ["ffmpeg", "-v", "error", "-y", *source, *codec, "-f", "mp4", str(path)]
        subprocess.run(command, check=True)
        video = probe(path)
        ffmpeg.poster(path, video, width=1920)
        ffmpeg.preview(path, video, seconds=1, width=1920, format="mp4", report=lambda _: None)
        return video.width
"""


class Case(NamedTuple):
    """An input at a cap of `task`: code that makes it (`given`), and code that gives it to the task."""

    task: str
    imports: str
    given: str
    act: str


COMMAS = "given = b',' * 500_000 + b'\\n' + b',' * 500_000"

REFUSED = {
    "commas to Parquet": Case("tables.convert", TABLES, COMMAS, "convert(given)"),
    "commas to a preview": Case("tables.preview", TABLES, COMMAS, "preview(given)"),
    "commas to a report": Case("pdf.report", TABLES, COMMAS, "report(given)"),
    "commas to a model": Case(
        "models.train", TABLES, "given = (b',' * 500_000 + b'\\n') * 6", "train(given, 'logistic')"
    ),
    "columns over a report's": Case(
        "pdf.report", TABLES, "given = names(10_000) + b'\\n' + b'1,' * 9", "report(given)"
    ),
    "rows over a report's": Case("pdf.report", TABLES, "given = b'a,b\\n' + b'1,2\\n' * 3_000_000", "report(given)"),
    "rows over a model's": Case(
        "models.train", TABLES, "given = b'a,y\\n' + b'1,2\\n' * 3_000_000", "train(given, '')"
    ),
    "one label of a MiB": Case(
        "models.train", TABLES, "given = b'a,y\\n' + b'1,2\\n' * 400_000 + b'1,' + b'x' * 999_999", "train(given, '')"
    ),
    "short rows of a wide table": Case(
        "tables.convert", TABLES, "given = names(10_000) + b'\\n' + b'1\\n' * 500_000", "convert(given)"
    ),
    "an open quote": Case("tables.convert", TABLES, "given = b'a,b\\n\"' + b'1,2\\n' * 3_000_000", "convert(given)"),
}

TAKEN = {
    "10,000 columns of numbers": Case(
        "tables.convert", TABLES, "given = names(10_000) + b'\\n' + (b'1,' * 9_999 + b'1\\n') * 120", "convert(given)"
    ),
    "10,000 columns of text": Case(
        "tables.convert", TABLES, "given = names(10_000) + b'\\n' + (b'x,' * 9_999 + b'x\\n') * 400", "convert(given)"
    ),
    "4,000,000 rows of nothing": Case(
        "tables.convert", TABLES, "given = b'a,b\\n' + b',\\n' * 4_000_000", "convert(given)"
    ),
    "quotes everywhere": Case(
        "tables.convert", TABLES, "given = b'a,b\\n' + b'\"\",\"\"\\n' * 1_500_000", "convert(given)"
    ),
    "quotes inside cells": Case(
        "tables.convert", TABLES, "given = b'a,b\\n' + b'5\",x\\n' * 500_000", "convert(given)"
    ),
    "cells of a MB": Case(
        "tables.convert", TABLES, "given = b'a,b\\n' + (b'x' * 1_000_000 + b',1\\n') * 40", "convert(given)"
    ),
    "short rows up to the cap": Case(
        "tables.convert", TABLES, "given = names(10_000) + b'\\n' + b'1\\n' * 100", "convert(given)"
    ),
    "a preview of 10,000 columns": Case(
        "tables.preview", TABLES, "given = names(10_000) + b'\\n' + (b'x,' * 9_999 + b'x\\n') * 100", "preview(given)"
    ),
    "a report of cells of a MB": Case(
        "pdf.report", TABLES, "given = b'a,b\\n' + (b'x' * 1_000_000 + b',1\\n') * 33", "report(given)"
    ),
}

LARGE = {
    "a report of 32 MiB in 400,000 cells": Case(
        "pdf.report",
        TABLES,
        "given = names(40) + b'\\n' + b''.join(b','.join(b'%07dx' % (n * m) * 10 for m in range(40)) + b'\\n'\n"
        "    for n in range(10_000))[:33_000_000].rpartition(b'\\n')[0]",
        "report(given)",
    ),
    "a logistic model of 500,000 rows": Case(
        "models.train",
        TABLES,
        "given = noise(500_000, 15, 20)[:64 * 2**20].rpartition(b'\\n')[0]",
        "train(given, 'logistic')",
    ),
    "a logistic model of 1,000 columns": Case(
        "models.train", TABLES, "given = noise(8_000, 999, 100)", "train(given, 'logistic')"
    ),
    "a forest of 100 classes": Case("models.train", TABLES, "given = noise(100_000, 2, 100)", "train(given, 'forest')"),
    "a forest of 200,000 rows": Case("models.train", TABLES, "given = noise(200_000, 2, 2)", "train(given, 'forest')"),
    "a JPEG of 200 megapixels": Case(
        "images.resize", PICTURES, "given = made(20_000, 10_000, '.jpg')", "resize(given, [1600], 'webp')"
    ),
    "a progressive JPEG of 64 megapixels": Case(
        "images.resize",
        PICTURES,
        "given = made(8_000, 8_000, '.jpg', interlace=True)",
        "resize(given, [6_300], 'webp')",
    ),
    "an interlaced PNG of 64 megapixels": Case(
        "images.resize",
        PICTURES,
        "given = made(8_000, 8_000, '.png', 4, 'ushort', interlace=True, compression=1)",
        "resize(given, [1_600], 'webp')",
    ),
    "a WebP of 64 megapixels": Case(
        "images.resize", PICTURES, "given = made(8_000, 8_000, '.webp', effort=0)", "resize(given, [1_600], 'jpeg')"
    ),
    "an AVIF of 64 megapixels": Case(
        "images.resize",
        PICTURES,
        "given = made(8_000, 8_000, '.avif', effort=0, Q=20, subsample_mode='off')",
        "resize(given, [6_300], 'webp')",
    ),
    "an AVIF of 40 megapixels, 10 bits and transparency": Case(
        "images.resize",
        PICTURES,
        "given = made(8_000, 5_000, '.avif', 4, 'ushort', bitdepth=10, effort=0, Q=20, subsample_mode='off')",
        "resize(given, [6_100], 'webp')",
    ),
    "a JPEG of 200 megapixels without its end marker": Case(
        "images.resize",
        PICTURES,
        "given = made(20_000, 10_000, '.jpg'); given.seek(-2, 2); given.truncate()",
        "resize(given, [8_000], 'webp')",
    ),
    "a WebP copy of 24 megapixels with transparency": Case(
        "images.resize",
        PICTURES,
        "from PIL import Image\n"
        "given, bands = io.BytesIO(), [Image.effect_noise((6_000, 4_000), 100) for _ in range(4)]\n"
        "Image.merge('RGBA', bands).save(given, 'PNG', compress_level=1)",
        "resize(given, [6_000, 5_900], 'webp')",
    ),
    "a WebP of 40 megapixels, two frames and transparency": Case(
        "images.resize",
        PICTURES,
        "from PIL import Image\n"
        "given, noise = io.BytesIO(), Image.effect_noise((8_000, 5_000), 100)\n"
        "frames = [Image.merge('RGBA', [noise] * 4), Image.merge('RGBA', [noise.transpose(0)] * 3 + [noise])]\n"
        "frames[0].save(given, 'WEBP', save_all=True, append_images=frames[1:], method=0)",
        "resize(given, [6_000], 'webp')",
    ),
    "a PNG of 200 megapixels and high dynamic range": Case(
        "images.resize",
        PICTURES,
        "import zlib\n"
        "whole = made(20_000, 10_000, '.png', 4, 'ushort', compression=1).getvalue()\n"
        "words = b'cICP' + bytes([9, 16, 0, 1])\n"
        "chunk = (4).to_bytes(4, 'big') + words + zlib.crc32(words).to_bytes(4, 'big')\n"
        "given = io.BytesIO(whole[:33] + chunk + whole[33:])",
        "resize(given, [6_900], 'webp')",
    ),
    "an AVIF copy of 40 megapixels": Case(
        "images.resize", PICTURES, "given = made(8_000, 5_000, '.jpg')", "resize(given, [8_000], 'avif')"
    ),
    "a GIF of 40 megapixels in 100 MiB": Case(
        "images.resize",
        PICTURES,
        "from PIL import Image\n"
        "frames = [Image.effect_noise((8_000, 5_000), 100 + n) for n in range(2)]\n"
        "given = io.BytesIO()\n"
        "frames[0].save(given, 'GIF', save_all=True, append_images=frames[1:])",
        "resize(given, [8_000], 'webp')",
    ),
    "a PDF of 5,000 pages": Case("pdf.cover", DOCUMENTS, "given = pages(5_000, (300, 400))", "cover(given, 2000)"),
    "a PDF page of a mile": Case("pdf.cover", DOCUMENTS, "given = pages(1, (14_400, 14_400))", "cover(given, 2000)"),
    "a film of 8K": Case(
        "video.preview",
        VIDEOS,
        "given = '7680x4320', ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p']",
        "preview(*given)",
    ),
}


def bounds_mib() -> dict[str, int]:
    """Return the memory limit of each task above its process, from docs/security.md."""
    rows = re.findall(r"(?m)^\| `([a-z.]+)` \|.*\| ([\d,]+) MiB \|$", SECURITY.read_text())
    return {task: int(most.replace(",", "")) for task, most in rows}


def body(cases: dict[str, Case]) -> str:
    """Return the code that runs the cases; `said` maps each to its outcome and its growth in MiB.

    Memory of the input's creation and of earlier cases is released first: it would hide the cost of the next case.
    """
    return _EACH.format(cases=[(name, case.given, case.act) for name, case in cases.items()])


_EACH = """
import ctypes, gc
import pyarrow
def status_mib(name):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith(name + ":"))
said = {{}}
for name, given, act in {cases!r}:
    exec(given)
    gc.collect()
    pyarrow.default_memory_pool().release_unused()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/clear_refs", "w") as marks:
        marks.write("5")  # proc(5): the peak starts again at the current size
    base_mib = status_mib("VmRSS")
    try:
        outcome = eval(act)
    except BadInput as reason:
        outcome = str(reason)
    said[name] = [outcome, status_mib("VmHWM") - base_mib]
"""
