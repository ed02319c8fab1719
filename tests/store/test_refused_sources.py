"""What holds no bytes is refused, and the message says how to store it."""

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from matplotlib.figure import Figure
from PIL import Image

from resultstore import Output, Store, WrongType
from resultstore.capture.outputs import capture
from resultstore.store.attempt import Attempt, running

FRAME = {"n": [1, 2]}
REFUSED = [
    ("report.csv", r"a str as bytes: for a file write Path\('report.csv'\), for the text itself text.encode\(\)"),
    ("x" * 500, r"Path\('x{40}...'\)"),
    ({"a": 1}, r"a dict as bytes: return it from a task as it is, or store json.dumps"),
    (5, r"an? int as bytes: give bytes, a Path, a binary file or an iterable of bytes, or write it into `store.writer"),
    (None, "NoneType as bytes: give bytes"),
    (pd.DataFrame(FRAME), r"pandas.DataFrame as bytes: write `with store.writer\(.*value.to_parquet\(file\)"),
    (pl.DataFrame(FRAME), r"polars.DataFrame as bytes: write `with store.writer\(.*value.write_parquet\(file\)"),
    (np.arange(3), r"numpy.ndarray as bytes: write `with store.writer\(.*numpy.save\(file, value\)"),
    (Image.new("L", (1, 1)), r"PIL.Image as bytes: write `with store.writer\(.*value.save\(file, format='PNG'\)"),
    (Figure(), r"matplotlib.Figure as bytes: write `with store.writer\(.*value.savefig\(file, format='png'\)"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "says"), REFUSED, ids=lambda one: type(one).__name__)
def test_refusal_says_how_to_store_it(store: Store, source: object, says: str):
    with pytest.raises(WrongType, match=says):
        store.put(source)

    assert [one for one in store.blobs.list("") if "blobs/" in one.key] == []


@pytest.mark.parametrize("method", ["value.to_parquet(file)", "value.write_parquet(file)", "numpy.save(file, value)"])
def test_way_that_the_message_names_works(store: Store, method: str):
    value = {"value.to_parquet(file)": pd.DataFrame(FRAME), "value.write_parquet(file)": pl.DataFrame(FRAME)}.get(
        method, np.arange(3)
    )
    with pytest.raises(WrongType) as refused:
        store.put(value)
    program = str(refused.value).split("`")[1]
    assert method in program

    found = {"store": store, "value": value, "numpy": np}
    exec(program, found)

    assert found["file"].artifact.size_bytes > 0


def test_every_kind_of_path_is_read(store: Store, tmp_path: Path):
    (tmp_path / "a.csv").write_bytes(b"a,b\n")

    class Folder:
        def __fspath__(self) -> str:
            return str(tmp_path / "a.csv")

    assert store.put(Folder()).file_name == "a.csv"


def test_empty_sources_are_stored_empty(store: Store):
    with running(Attempt("job")):
        made = capture(store, [Output(data=b""), (one for one in ()), Output(data=iter([]))])

    assert [(one.name, one.size_bytes) for one in made] == [("output", 0), ("output-2", 0), ("output-3", 0)]
