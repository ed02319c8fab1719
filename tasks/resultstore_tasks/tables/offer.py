"""Offers of `tables.convert` and `tables.preview`."""

from typing import Annotated, Final, Literal

from pydantic import Field

from resultstore import Options
from resultstore_tasks.csv_reader.options import MEDIA_TYPES, EncodingOption, HeaderOption
from resultstore_tasks.declaration import MIB, ShippedOffer

MAX_BYTES: Final = 64 * 1024 * MIB

ColumnType = Literal["string", "int64", "float64", "bool", "date", "timestamp"]


class Head(Options):
    """Of `tables.preview`."""

    header: HeaderOption = "auto"
    """Whether the first row holds the columns' names. `auto` refuses a table where that is not clear."""

    encoding: EncodingOption = "auto"
    """Encoding of the text. `auto` is UTF-8, or Windows-1252 where the text looks like it."""


class Convert(Options):
    """Of `tables.convert`."""

    format: Annotated[Literal["parquet"], Field(title="Format")] = "parquet"
    """Format of the file that is made."""

    types: Annotated[
        dict[Annotated[str, Field(max_length=200)], ColumnType] | None,
        Field(title="Types of some columns, in place of a guess", max_length=1_000),
    ] = None
    """Column name to type, for at most 1,000 columns whose type is not to be guessed from their cells."""

    header: HeaderOption = "auto"
    """Whether the first row holds the columns' names. `auto` refuses a table where that is not clear."""

    encoding: EncodingOption = "auto"
    """Encoding of the text. `auto` is UTF-8, or Windows-1252 where the text looks like it."""


PREVIEW: Final = ShippedOffer(
    task="tables.preview",
    title="Preview of a table",
    description="The first rows as a picture, and the whole table as Parquet, a compact format for data tools.",
    takes=MEDIA_TYPES,
    max_bytes=MAX_BYTES,
    arguments=Head,
    position=40,
)

CONVERT: Final = ShippedOffer(
    task="tables.convert",
    title="Convert a table",
    description="Turns a CSV into a compact file for data tools, such as Parquet.",
    takes=MEDIA_TYPES,
    max_bytes=MAX_BYTES,
    arguments=Convert,
    position=70,
)
