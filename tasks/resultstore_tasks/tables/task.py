"""Tasks `tables.convert` and `tables.preview`: a CSV table as Parquet, and its first rows."""

import msgspec

from resultstore import Artifact, Store
from resultstore.backends.celery import store_of
from resultstore_tasks.app import app
from resultstore_tasks.arguments import file_stem, naming, offered
from resultstore_tasks.contracts import ReportProgress
from resultstore_tasks.csv_reader.reader import Table
from resultstore_tasks.tables.convert import CAPS, first_half, store_as_parquet
from resultstore_tasks.tables.offer import CONVERT, PREVIEW, Convert, Head
from resultstore_tasks.tables.preview import head_of, store_picture


@offered(CONVERT)
def convert(source: Artifact, options: Convert) -> Artifact:
    """Convert a CSV table to Parquet (zstd) as a stream: memory does not grow with the table.

    Args:
        source: CSV, delimited by comma, semicolon, tab or bar, of up to 10,000 columns.
        options: see `resultstore_tasks.tables.offer.Convert`.

    Returns the Parquet file, with `rows`, `columns` and `row_groups` in its metadata. `read_as` is set if the text is
    not UTF-8, and `short_rows` counts rows with too few cells, which were filled up.

    Raises BadInput for what is no table, naming row and column.
    """
    store = store_of(app)
    report = _report_bytes(store, source)
    with naming("table", source), store.open(source) as stream:
        table = Table(
            stream,
            caps=CAPS,
            types=options.types,
            header=options.header,
            encoding=options.encoding,
            report=first_half(report),
        )
        return store_as_parquet(store, source, table, format=options.format, report=report)


@offered(PREVIEW, time_limit_s=900)
def preview(source: Artifact, options: Head) -> list[Artifact]:
    """Convert a CSV table to Parquet, and show its first rows.

    Args:
        source: CSV, delimited by comma, semicolon, tab or bar, of up to 10,000 columns.
        options: see `resultstore_tasks.tables.offer.Head`.

    Returns a picture (JPEG) and a JSON document of the first rows, then the Parquet file.

    Raises BadInput for what is no table, naming row and column.
    """
    store = store_of(app)
    stem = file_stem(source, "table")
    report = _report_bytes(store, source)
    with naming("table", source), store.open(source) as stream:
        table = Table(stream, caps=CAPS, header=options.header, encoding=options.encoding, report=first_half(report))
        head = head_of(table)
        facts = {"columns": len(head.columns), **table.notes()}
        picture = store_picture(store, head, name=f"{stem}-head.jpg", facts=facts)
        rows = store.put(
            msgspec.json.encode(head), name=f"{stem}-head.json", media_type="application/json", metadata=facts
        )
        return [picture, rows, store_as_parquet(store, source, table, report=report)]


def _report_bytes(store: Store, source: Artifact) -> ReportProgress:
    """Return a ReportProgress for `store.progress`, out of the size of `source` where no total is given."""
    return lambda done, total, note: store.progress(done, total or source.size_bytes, note)
