"""Tasks `examples.report` and `examples.train`: work on sample tables, without an upload."""

import io
from collections.abc import Callable, Mapping
from types import MappingProxyType

from resultstore import Artifact
from resultstore.backends.celery import store_of
from resultstore_tasks.app import app
from resultstore_tasks.arguments import offered
from resultstore_tasks.examples.offer import REPORT, TRAIN, ExampleReport, ExampleTrain, SampleTable
from resultstore_tasks.models import task as models
from resultstore_tasks.report import task as pdf
from resultstore_tasks.samples import Sample, digits, wine

_SAMPLES: Mapping[SampleTable, tuple[Callable[[], Sample], str]] = MappingProxyType(
    {"wine": (wine, "cultivar"), "digits": (digits, "digit")}
)


@offered(REPORT, time_limit_s=pdf.TIME_LIMIT_S)
def report(options: ExampleReport) -> Artifact:
    """Make a report of 178 Italian wines, as `pdf.report` does for any table.

    Returns the PDF.
    """
    sample = wine()
    facts = pdf.facts_of(io.BytesIO(sample.content))
    return pdf.store_report(store_of(app), facts, stem="wine", title=options.title, source=sample.file_name)


@offered(TRAIN)
def train(options: ExampleTrain) -> list[Artifact]:
    """Fit a classifier to a table of wines or of handwritten digits, as `models.train` does.

    Returns the files of `models.train`.
    """
    store = store_of(app)
    sample, target = _SAMPLES[options.table]
    examples = models.read_examples(io.BytesIO(sample().content), target=target)
    trained = models.fit_model(examples, kind=options.kind, report=store.progress)
    return models.store_model(store, trained, stem=f"{options.table}-{options.kind}", target=target, kind=options.kind)
