"""Libraries: pandas, polars, pyarrow, DuckDB and universal-pathlib read by URL, and fetch only what they need."""

import io
import warnings

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from upath import UPath

from resultstore.blobs.stream import BLOCK_BYTES
from resultstore.filesystem.upath import ResultStorePath

COLUMNS, ROWS = 25, 200_000
COLUMN_BYTES = ROWS * 8
URL = "resultstore://sales/wide.parquet"


@pytest.fixture(scope="module")
def wide() -> bytes:
    """A Parquet file of 40 MB: 25 columns of 1.6 MB that do not compress, in four row groups."""
    chance = np.random.default_rng(5)
    table = pa.table({f"c{number}": chance.random(ROWS) for number in range(COLUMNS)})
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=ROWS // 4, compression="none", use_dictionary=False)
    return file.getvalue()


@pytest.fixture
def stored(store, wide, fetched):
    artifact = store.put(wide, name="wide.parquet", id="sales")
    fetched.clear()
    return artifact


def read_by_pandas(fs):
    return pd.read_parquet(URL, columns=["c7"], storage_options={"store": fs.store})["c7"].sum()


def read_by_pyarrow(fs):
    return pq.read_table("sales/wide.parquet", columns=["c7"], filesystem=fs)["c7"].to_numpy().sum()


def read_by_pyarrow_dataset(fs):
    return ds.dataset("sales/wide.parquet", filesystem=fs).to_table(columns=["c7"])["c7"].to_numpy().sum()


def read_by_polars(fs):
    frame = pl.read_parquet(URL, columns=["c7"], use_pyarrow=True, storage_options={"store": fs.store})
    return frame["c7"].sum()


def scan_by_polars(fs):
    dataset = ds.dataset("sales/wide.parquet", filesystem=fs)
    return pl.scan_pyarrow_dataset(dataset).select("c7").collect()["c7"].sum()


def read_by_duckdb(fs):
    with duckdb.connect() as database:
        database.register_filesystem(fs)
        return database.sql(f"select sum(c7) from read_parquet('{URL}')").fetchall()[0][0]


@pytest.mark.parametrize(
    "read", [read_by_pandas, read_by_pyarrow, read_by_pyarrow_dataset, read_by_polars, scan_by_polars, read_by_duckdb]
)
def test_one_column_fetches_its_ranges_only(fs, stored, wide, fetched, read):
    wanted = pq.read_table(io.BytesIO(wide), columns=["c7"])["c7"].to_numpy().sum()
    assert read(fs) == pytest.approx(wanted)
    # Four ranges of 0.4 MB touch two blocks of 1 MiB each at most; the footer is one block, read a few times.
    assert 0 < sum(size for _, _, size in fetched) <= COLUMN_BYTES + 12 * BLOCK_BYTES < len(wide) // 2


def test_pandas_reads_a_packed_csv(fs, store):
    frame = pd.DataFrame({"n": range(200_000), "name": ["Grüße"] * 200_000})
    store.put(frame.to_csv(index=False).encode(), name="grüße.csv", id="text", compress=True)
    found = pd.read_csv("resultstore://text/gr%C3%BC%C3%9Fe.csv", storage_options={"store": store})
    assert found.equals(frame)


def test_polars_reads_from_an_open_file(fs, stored, wide):
    with fs.open(URL) as file:
        assert pl.read_parquet(file, columns=["c7"]).equals(pl.read_parquet(wide, columns=["c7"]))


def test_upath_lists_and_reads(store):
    store.put(b"a,b\n", name="a b.csv", id="one/two")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an implementation that is not registered warns
        root = UPath("resultstore://", store=store)
        [folder] = root.iterdir()
        [file] = folder.iterdir()
    assert isinstance(file, ResultStorePath)
    assert str(file) == "resultstore://one%2Ftwo/a%20b.csv"
    assert (file.name, file.suffix, file.parent, file.stat().st_size) == ("a%20b.csv", ".csv", folder, 4)
    assert file.read_bytes() == b"a,b\n"
    assert (root / "one%2Ftwo" / "a%20b.csv").read_text() == "a,b\n"
    assert not (folder / "other").exists()
    assert list(root.glob("*/*.csv")) == [file]


def test_large_parquet_column_fetches_ranges(fs, store, fetched, tmp_path):
    """200 MB: one of 25 columns is 8 MB, and the rest stays where it is."""
    path, chance = tmp_path / "large.parquet", np.random.default_rng(5)
    rows = 1_000_000
    table = pa.table({f"c{number}": chance.random(rows) for number in range(COLUMNS)})
    pq.write_table(table, path, row_group_size=rows // 4, compression="none", use_dictionary=False)
    artifact = store.put(path, id="large")
    assert artifact.size_bytes > 200_000_000
    fetched.clear()
    found = pd.read_parquet("resultstore://large/large.parquet", columns=["c3"], storage_options={"store": store})
    assert found["c3"].sum() == pytest.approx(table["c3"].to_numpy().sum())
    assert sum(size for _, _, size in fetched) < rows * 8 + 12 * BLOCK_BYTES
