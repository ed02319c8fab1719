"""Offer of `pdf.report`."""

from typing import Annotated, Final

from pydantic import Field

from resultstore import Options
from resultstore_tasks.csv_reader.options import MEDIA_TYPES, EncodingOption, HeaderOption
from resultstore_tasks.declaration import MIB, ShippedOffer

TitleOption = Annotated[str, Field(title="Title on the cover", max_length=120)]


class Report(Options):
    """Of `pdf.report`."""

    title: TitleOption = ""
    """Title on the cover, at most 120 characters. By default it is made from the file's name."""

    header: HeaderOption = "auto"
    """Whether the first row holds the columns' names. `auto` refuses a table where that is not clear."""

    encoding: EncodingOption = "auto"
    """Encoding of the text. `auto` is UTF-8, or Windows-1252 where the text looks like it."""


REPORT: Final = ShippedOffer(
    task="pdf.report",
    title="Report on a table",
    description="A PDF with key figures, charts, statistics and all rows.",
    takes=MEDIA_TYPES,
    max_bytes=32 * MIB,
    arguments=Report,
    position=50,
)
