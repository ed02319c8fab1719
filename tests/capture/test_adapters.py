"""Adapters: objects of libraries are written as files, in the format of their name."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure
from PIL import Image

from resultstore import LIBRARY_ADAPTERS, Artifact, FileAdapter, Output, Settings, Store, WrongType, connect
from resultstore.capture.adapters import Adapters, explain_unwritable
from resultstore.capture.outputs import capture
from resultstore.store.attempt import Attempt, running

PARQUET = "application/vnd.apache.parquet"


@pytest.fixture
def store() -> Store:
    return connect(Settings(index_url="memory://", blobs_url="memory://"))


def captured(store: Store, returned: object, *more: FileAdapter) -> object:
    with running(Attempt("job")):
        return capture(store, returned, adapters=Adapters([*more, *LIBRARY_ADAPTERS]))


def read_back(store: Store, artifact: Artifact) -> object:
    file = store.open(artifact)
    return {
        PARQUET: pq.read_table,
        "text/csv": pd.read_csv,
        "application/x-npy": np.load,
        "application/pdf": lambda file: file.read(5),
        "image/svg+xml": lambda file: file.read(5),
    }.get(artifact.media_type, Image.open)(file)


def figure() -> Figure:
    drawn = Figure(figsize=(1, 1), dpi=50)
    drawn.subplots().plot([1, 2])
    return drawn


FRAME = pd.DataFrame({"n": [1, 2]})
TABLE = pa.table({"n": [1, 2]})
ADAPTED = [
    (FRAME, "table.parquet", PARQUET, lambda read: read["n"].to_pylist() == [1, 2]),
    (FRAME["n"], "table.parquet", PARQUET, lambda read: read["n"].to_pylist() == [1, 2]),
    (pd.Series([1, 2]), "table.parquet", PARQUET, lambda read: read["value"].to_pylist() == [1, 2]),
    (pl.DataFrame({"n": [1, 2]}), "table.parquet", PARQUET, lambda read: read["n"].to_pylist() == [1, 2]),
    (pl.Series("n", [1, 2]), "table.parquet", PARQUET, lambda read: read["n"].to_pylist() == [1, 2]),
    (pl.LazyFrame({"n": [1, 2]}), "table.parquet", PARQUET, lambda read: read["n"].to_pylist() == [1, 2]),
    (TABLE, "table.parquet", PARQUET, lambda read: read["n"].to_pylist() == [1, 2]),
    (TABLE.to_batches()[0], "table.parquet", PARQUET, lambda read: read["n"].to_pylist() == [1, 2]),
    (
        np.arange(6).reshape(2, 3),
        "array.npy",
        "application/x-npy",
        lambda read: read.tolist() == [[0, 1, 2], [3, 4, 5]],
    ),
    (
        Image.new("RGBA", (7, 4), "red"),
        "image.png",
        "image/png",
        lambda read: (read.size, read.mode) == ((7, 4), "RGBA"),
    ),
    (figure(), "figure.png", "image/png", lambda read: read.size == (50, 50)),
]


@pytest.mark.parametrize(("value", "name", "media_type", "check"), ADAPTED, ids=lambda one: type(one).__qualname__)
def test_object_becomes_a_file_of_its_format(store: Store, value, name, media_type, check):
    artifact = captured(store, {"made": [value]})["made"][0]

    assert (artifact.name, artifact.file_name, artifact.media_type) == (name, name, media_type)
    assert check(read_back(store, artifact))


NAMED = [
    (FRAME, "sales.csv", "text/csv", lambda read: read["n"].tolist() == [1, 2]),
    (pl.DataFrame({"n": [1, 2]}), "sales.csv", "text/csv", lambda read: read["n"].tolist() == [1, 2]),
    (FRAME, "sales", PARQUET, lambda read: read["n"].to_pylist() == [1, 2]),
    (FRAME, "version 1.2", PARQUET, lambda read: read["n"].to_pylist() == [1, 2]),
    (Image.new("RGB", (7, 4)), "a.JPG", "image/jpeg", lambda read: read.format == "JPEG"),
    (Image.new("RGB", (7, 4)), "a.webp", "image/webp", lambda read: read.format == "WEBP"),
    (Image.new("RGB", (7, 4)), "a.tiff", "image/tiff", lambda read: read.format == "TIFF"),
    (figure(), "a.pdf", "application/pdf", lambda read: read == b"%PDF-"),
    (figure(), "a.svg", "image/svg+xml", lambda read: read == b"<?xml"),
]


@pytest.mark.parametrize(("value", "name", "media_type", "check"), NAMED, ids=lambda one: str(one)[:20])
def test_name_of_an_output_chooses_the_format(store: Store, value, name, media_type, check):
    artifact = captured(store, Output(data=value, name=name, metadata={"rows": np.int64(2)}, retention="7d"))

    assert (artifact.name, artifact.media_type, artifact.retention) == (name, media_type, "7d")
    assert artifact.metadata == {"rows": 2}
    assert check(read_back(store, artifact))


def test_media_type_chooses_the_format_too(store: Store):
    artifact = captured(store, Output(data=FRAME, name="sales", media_type="text/csv"))

    assert store.open(artifact).read() == b"n\n1\n2\n"
    assert artifact.file_name == "sales.csv"


@pytest.mark.parametrize("asked", [{"name": "a.xlsx"}, {"file_name": "a.json"}, {"media_type": "application/json"}])
def test_format_that_is_not_written_is_refused(store: Store, asked: dict[str, str]):
    with pytest.raises(WrongType, match=r"pandas.DataFrame is written as .parquet, .csv, not as"):
        captured(store, Output(data=FRAME, **asked))

    assert list(store.blobs.list("blobs/")) == []


def test_index_of_a_frame_is_kept(store: Store):
    frame = FRAME.set_index(pd.Index(["a", "b"], name="key"))

    table, text = captured(store, [frame, Output(data=frame, name="a.csv")])

    assert pd.read_parquet(store.open(table)).equals(frame)
    assert store.open(text).read() == b"key,n\na,1\nb,2\n"


def test_unnamed_objects_are_numbered(store: Store):
    made = captured(store, [FRAME, FRAME, np.arange(2), Output(data=FRAME, file_name="Q1.parquet"), FRAME])

    assert [one.name for one in made] == [
        "table.parquet", "table-2.parquet", "array.npy", "Q1.parquet", "table-3.parquet",
    ]  # fmt: skip
    assert made[1].file_name == "table-2.parquet"


def test_array_of_objects_is_never_pickled(store: Store):
    with pytest.raises(ValueError, match="allow_pickle"):
        captured(store, np.array([object()]))

    assert list(store.blobs.list("blobs/")) == []


def test_scalars_of_numpy_become_plain_values(store: Store):
    found = captured(store, {np.int64(1): [np.float32(0.5)], "ok": (np.bool_(True),)})

    assert found == {1: [0.5], "ok": (True,)}
    assert [type(one) for one in (*found, *found[1], *found["ok"])] == [int, str, float, bool]


class Note:
    text = "hello"


def test_own_adapter_comes_before_those_of_libraries(store: Store):
    notes = FileAdapter(
        types=(f"{Note.__module__}.Note",),
        writers={".txt": lambda value, file: file.write(value.text.encode())},
        stem="note",
    )
    capitals = FileAdapter(types=("numpy.ndarray",), writers={".txt": lambda _, file: file.write(b"ARRAY")})
    sys.modules[Note.__module__].Note = Note

    note, array = captured(store, [Note(), np.arange(2)], notes, capitals)

    assert (note.name, store.open(note).read()) == ("note.txt", b"hello")
    assert (array.name, store.open(array).read()) == ("output.txt", b"ARRAY")


def test_without_an_adapter_the_object_is_returned(store: Store):
    with running(Attempt("job")):
        assert capture(store, FRAME) is FRAME
        with pytest.raises(WrongType, match="return it from a task by an adapter"):
            capture(store, Output(data=FRAME))

    assert "returned a pandas.DataFrame" in explain_unwritable({"a": [1, FRAME]})
    assert explain_unwritable({"a": [1, "b", None]}) == ""


def test_no_library_is_imported_for_its_adapter(tmp_path: Path):
    program = """
import sys
from resultstore import LIBRARY_ADAPTERS
from resultstore.capture.adapters import Adapters
class Own: pass
assert Adapters(LIBRARY_ADAPTERS).find(Own()) is None
assert not {"pandas", "polars", "pyarrow", "numpy", "PIL", "matplotlib"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, cwd=tmp_path)


def test_large_array_is_streamed(store: Store):
    held: list[int] = []
    put = store.blobs.put

    def counting(key, chunks, **options):
        return put(key, (held.append(len(one)) or one for one in chunks), **options)

    store.blobs.put = counting
    array = np.zeros(5_000_000)

    assert np.load(store.open(captured(store, array))).shape == array.shape
    assert max(held) <= 1 << 20
    assert len(held) == 39
