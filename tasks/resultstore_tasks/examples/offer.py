"""Offers of `examples.report` and `examples.train`."""

from typing import Annotated, Final, Literal

from pydantic import Field

from resultstore import Options
from resultstore_tasks.declaration import ShippedOffer
from resultstore_tasks.models.offer import KindOption
from resultstore_tasks.report.offer import TitleOption

SampleTable = Literal["wine", "digits"]


class ExampleReport(Options):
    """Of `examples.report`."""

    title: TitleOption = ""
    """Title on the cover, at most 120 characters. By default it is the table's name."""


class ExampleTrain(Options):
    """Of `examples.train`."""

    table: Annotated[SampleTable, Field(title="Table")] = "wine"
    """`wine` (178 rows, three cultivars) or `digits` (1,797 rows, ten digits)."""

    kind: KindOption = "logistic"
    """`logistic` (scaled, multinomial) or `forest` (100 trees)."""


REPORT: Final = ShippedOffer(
    task="examples.report",
    title="Example of a report",
    description="Made from a table of 178 Italian wines. Needs no file.",
    arguments=ExampleReport,
    position=80,
)

TRAIN: Final = ShippedOffer(
    task="examples.train",
    title="Example of a classifier",
    description="Learns from a table of wines or of handwritten digits. Needs no file.",
    arguments=ExampleTrain,
    position=90,
)
