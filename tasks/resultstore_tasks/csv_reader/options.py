"""Options and media types that all tasks on CSV tables share."""

from typing import Annotated, Final

from pydantic import Field

from resultstore_tasks.csv_reader.dialect import Encoding, Header

MEDIA_TYPES: Final = ("text/csv", "text/tab-separated-values")

HeaderOption = Annotated[Header, Field(title="First row holds names")]
EncodingOption = Annotated[Encoding, Field(title="Encoding of the text")]
