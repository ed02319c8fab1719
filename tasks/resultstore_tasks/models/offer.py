"""Offer of `models.train`."""

from typing import Annotated, Final, Literal

from pydantic import Field

from resultstore import Options
from resultstore_tasks.csv_reader.options import MEDIA_TYPES, EncodingOption, HeaderOption
from resultstore_tasks.declaration import MIB, ShippedOffer

Kind = Literal["logistic", "forest"]
KindOption = Annotated[Kind, Field(title="Kind of model")]


class Train(Options):
    """Of `models.train`."""

    target: Annotated[str, Field(title="Column to predict", min_length=1, max_length=200)]
    """Column to predict: `column_1`, `column_2`, ... where the table has no row of names."""

    kind: KindOption = "logistic"
    """`logistic` (scaled, multinomial) or `forest` (100 trees)."""

    header: HeaderOption = "auto"
    """Whether the first row holds the columns' names. `auto` assumes so if `target` is among them."""

    encoding: EncodingOption = "auto"
    """Encoding of the text. `auto` is UTF-8, or Windows-1252 where the text looks like it."""


TRAIN: Final = ShippedOffer(
    task="models.train",
    title="Train a classifier",
    description="Learns to predict one column from the others, and says how often it is right.",
    takes=MEDIA_TYPES,
    max_bytes=64 * MIB,
    arguments=Train,
    position=60,
)
