"""Offers: which of the shipped tasks strangers may start over HTTP, and with what.

Written down again here, instead of read from the tasks: a gateway shall not load scikit-learn to say what it offers.
tests/tasks/test_offers.py holds the two together.
"""

from typing import Annotated, Final, Literal

from pydantic import Field

from resultstore import Offer, Offers, Options
from tasks.csv_reader.dialect import Encoding, Header

MIB: Final = 1024 * 1024
PICTURES: Final = ("image/jpeg", "image/png", "image/webp", "image/avif", "image/gif")
TABLES: Final = ("text/csv", "text/tab-separated-values")
DOCUMENTS: Final = ("application/pdf",)
VIDEOS: Final = (
    "video/mp4",
    "video/quicktime",
    "video/3gpp",
    "video/3gpp2",
    "video/webm",
    "video/x-matroska",
)

ColumnType = Literal["string", "int64", "float64", "bool", "date", "timestamp"]


class Resize(Options):
    """Of `images.resize`."""

    widths: Annotated[
        list[Annotated[int, Field(strict=True, ge=1, le=8192)]],
        Field(title="Widths in pixels", min_length=1, max_length=12),
    ] = [1600, 800, 200]  # noqa: RUF012 - pydantic copies it
    format: Annotated[Literal["webp", "jpeg", "avif"], Field(title="Format")] = "webp"


class Cover(Options):
    """Of `pdf.cover`."""

    width: Annotated[int, Field(title="Width in pixels", strict=True, ge=64, le=2000)] = 800


class Preview(Options):
    """Of `video.preview`."""

    seconds: Annotated[float, Field(title="Length in seconds", ge=1, le=60)] = 10
    width: Annotated[int, Field(title="Width in pixels", strict=True, ge=64, le=1920)] = 640
    format: Annotated[Literal["mp4", "webm"], Field(title="Format")] = "mp4"


class Head(Options):
    """Of `tables.preview`."""

    header: Annotated[Header, Field(title="First row holds names")] = "auto"
    encoding: Annotated[Encoding, Field(title="Encoding of the text")] = "auto"


class Report(Options):
    """Of `pdf.report`."""

    title: Annotated[str, Field(title="Title on the cover", max_length=120)] = ""
    header: Annotated[Header, Field(title="First row holds names")] = "auto"
    encoding: Annotated[Encoding, Field(title="Encoding of the text")] = "auto"


class Train(Options):
    """Of `models.train`."""

    target: Annotated[str, Field(title="Column to predict", min_length=1, max_length=200)]
    kind: Annotated[Literal["logistic", "forest"], Field(title="Kind of model")] = "logistic"
    header: Annotated[Header, Field(title="First row holds names")] = "auto"
    encoding: Annotated[Encoding, Field(title="Encoding of the text")] = "auto"


class Convert(Options):
    """Of `tables.convert`."""

    format: Annotated[Literal["parquet"], Field(title="Format")] = "parquet"
    types: Annotated[
        dict[Annotated[str, Field(max_length=200)], ColumnType] | None,
        Field(title="Types of columns that shall not be guessed", max_length=1_000),
    ] = None
    header: Annotated[Header, Field(title="First row holds names")] = "auto"
    encoding: Annotated[Encoding, Field(title="Encoding of the text")] = "auto"


class ExampleReport(Options):
    """Of `examples.report`."""

    title: Annotated[str, Field(title="Title on the cover", max_length=120)] = ""


class ExampleTrain(Options):
    """Of `examples.train`."""

    table: Annotated[Literal["wine", "digits"], Field(title="Table")] = "wine"
    kind: Annotated[Literal["logistic", "forest"], Field(title="Kind of model")] = "logistic"


SHIPPED: Final = (
    Offer(
        task="images.resize",
        title="Resize a picture",
        description="Copies in several widths, without GPS and other metadata.",
        takes=PICTURES,
        max_bytes=256 * MIB,
        arguments=Resize,
    ),
    Offer(
        task="pdf.cover",
        title="Cover of a PDF",
        description="The first page as a picture, and how many pages there are.",
        takes=DOCUMENTS,
        max_bytes=256 * MIB,
        arguments=Cover,
    ),
    Offer(
        task="video.preview",
        title="Preview of a video",
        description="A poster and a short, small version.",
        takes=VIDEOS,
        max_bytes=2048 * MIB,
        arguments=Preview,
    ),
    Offer(
        task="tables.preview",
        title="Preview of a table",
        description="Its first rows as a picture and as JSON, and all of it as Parquet.",
        takes=TABLES,
        max_bytes=64 * 1024 * MIB,
        arguments=Head,
    ),
    Offer(
        task="pdf.report",
        title="Report on a table",
        description="A PDF with key figures, distributions, relations, statistics and all rows.",
        takes=TABLES,
        max_bytes=32 * MIB,
        arguments=Report,
    ),
    Offer(
        task="models.train",
        title="Train a classifier",
        description="Fits a model to a table of numbers and keeps it in files that hold no code.",
        takes=TABLES,
        max_bytes=64 * MIB,
        arguments=Train,
    ),
    Offer(
        task="tables.convert",
        title="Convert a table",
        description="CSV into Parquet, streaming.",
        takes=TABLES,
        max_bytes=64 * 1024 * MIB,
        arguments=Convert,
    ),
    Offer(
        task="examples.report",
        title="Example of a report",
        description="On 178 Italian wines; needs no file.",
        arguments=ExampleReport,
    ),
    Offer(
        task="examples.train",
        title="Example of a classifier",
        description="Fitted to wines or to handwritten digits; needs no file.",
        arguments=ExampleTrain,
    ),
)

offers: Final[Offers] = {offer.task: offer for offer in SHIPPED}
