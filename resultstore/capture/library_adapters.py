"""LIBRARY_ADAPTERS: adapters for the types of pandas, polars, pyarrow, numpy, Pillow and matplotlib.

None of these libraries is imported here: a value of a library can exist only where that is loaded.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, BinaryIO, Final

from resultstore.capture.adapters import FileAdapter

_IMAGE_FORMATS: Final = {
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".gif": "GIF", ".tif": "TIFF", ".tiff": "TIFF",
}  # fmt: skip


def _pandas_frame(value: Any) -> Any:  # noqa: ANN401 - a DataFrame or a Series, of a library that is not imported
    return value if hasattr(value, "to_parquet") else value.to_frame(name="value" if value.name is None else value.name)


def _pandas_parquet(value: Any, file: BinaryIO) -> None:  # noqa: ANN401 - the same
    _pandas_frame(value).to_parquet(file)


def _pandas_csv(value: Any, file: BinaryIO) -> None:  # noqa: ANN401 - the same
    # Row numbers are no data; any other index is.
    is_numbered = type(value.index).__name__ == "RangeIndex"
    _pandas_frame(value).to_csv(file, index=not is_numbered)


def _polars_writer(method: str) -> Callable[[Any, BinaryIO], None]:
    def write(value: Any, file: BinaryIO) -> None:  # noqa: ANN401 - a DataFrame, Series or LazyFrame
        if hasattr(value, f"sink_{method}"):
            getattr(value, f"sink_{method}")(file)  # of a LazyFrame: computed in batches
        else:
            frame = value if hasattr(value, f"write_{method}") else value.to_frame()
            getattr(frame, f"write_{method}")(file)

    return write


def _arrow_parquet(value: Any, file: BinaryIO) -> None:  # noqa: ANN401 - a Table or RecordBatch
    with import_module("pyarrow.parquet").ParquetWriter(file, value.schema) as out:
        out.write(value)


def _numpy_npy(value: Any, file: BinaryIO) -> None:  # noqa: ANN401 - an ndarray
    # Never pickle: reading it back could run code.
    import_module("numpy").save(file, value, allow_pickle=False)


def _image_writer(format: str) -> Callable[[Any, BinaryIO], None]:
    return lambda value, file: value.save(file, format=format)


def _figure_writer(format: str) -> Callable[[Any, BinaryIO], None]:
    return lambda value, file: value.savefig(file, format=format)


LIBRARY_ADAPTERS: Final = (
    FileAdapter(
        types=("pandas.DataFrame", "pandas.Series"),
        writers={".parquet": _pandas_parquet, ".csv": _pandas_csv},
        stem="table",
    ),
    FileAdapter(
        types=("polars.DataFrame", "polars.Series", "polars.LazyFrame"),
        writers={".parquet": _polars_writer("parquet"), ".csv": _polars_writer("csv")},
        stem="table",
    ),
    FileAdapter(types=("pyarrow.Table", "pyarrow.RecordBatch"), writers={".parquet": _arrow_parquet}, stem="table"),
    FileAdapter(types=("numpy.ndarray",), writers={".npy": _numpy_npy}, stem="array"),
    FileAdapter(
        types=("PIL.Image.Image",),
        writers={suffix: _image_writer(kind) for suffix, kind in _IMAGE_FORMATS.items()},
        stem="image",
        seekable=(".tif", ".tiff"),
    ),
    FileAdapter(
        types=("matplotlib.figure.Figure",),
        writers={f".{kind}": _figure_writer(kind) for kind in ("png", "svg", "pdf")},
        stem="figure",
    ),
)
"""Adapters for pandas, polars, pyarrow, numpy, Pillow and matplotlib; pass them to a `setup`."""
