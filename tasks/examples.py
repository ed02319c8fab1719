"""Examples: work on tables that come with packages, for whoever has no file at hand."""

import io
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field

from resultstore import Artifact
from resultstore.backends.celery import store_of
from tasks.app import app
from tasks.arguments import checked
from tasks.models import task as models
from tasks.report import task as pdf
from tasks.samples import Sample, digits, wine

Table = Literal["wine", "digits"]

_SAMPLES: Mapping[Table, tuple[Callable[[], Sample], str]] = MappingProxyType(
    {"wine": (wine, "cultivar"), "digits": (digits, "digit")}
)


@app.task(name="examples.report", time_limit=pdf.TIME_LIMIT_S)
@checked
def report(title: Annotated[str, Field(max_length=120)] = "") -> Artifact:
    """Make a report of 178 Italian wines, as `pdf.report` makes it of any table.

    Args:
        title: on the cover; by default the table's name.

    Returns the PDF.
    """
    sample = wine()
    facts = pdf.facts_of(io.BytesIO(sample.content))
    return pdf.kept(store_of(app), facts, stem="wine", title=title, source=sample.file_name)


@app.task(name="examples.train")
@checked
def train(table: Table = "wine", kind: models.Kind = "logistic") -> list[Artifact]:
    """Fit a classifier to a table of wines or of handwritten digits, as `models.train` does.

    Args:
        table: `wine` (178 rows, three cultivars) or `digits` (1,797 rows, ten digits).
        kind: `logistic` or `forest`.

    Returns the files of `models.train`.
    """
    store = store_of(app)
    sample, target = _SAMPLES[table]
    trained = models.fitted(
        models.examples(io.BytesIO(sample().content), target=target), kind=kind, report=store.progress
    )
    return models.kept(store, trained, stem=f"{table}-{kind}", target=target, kind=kind)
