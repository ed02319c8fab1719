"""Objects of libraries that tasks return, on a real worker of each backend."""

import pytest

from tests.backends.contract.conftest import Backend


def test_objects_of_libraries_become_files(backend: Backend):
    table, made = backend.run("frame"), backend.run("objects")

    assert (table.name, table.media_type) == ("table.parquet", "application/vnd.apache.parquet")
    assert backend.read(table).startswith(b"PAR1")
    assert [one.name for one in made["arrays"]] == ["array.npy", "array-2.npy"]
    assert backend.read(made["table"]) == b"n\n1\n"


def test_scalars_of_numpy_travel_as_numbers(backend: Backend):
    made = backend.run("objects")

    assert (made["mean"], made["longest"], made["ok"]) == (2.5, 5, True)


def test_unwritable_value_says_what_to_return(backend: Backend):
    with pytest.raises(Exception, match=r"pandas.Period.*return an Output") as failed:
        backend.run("unwritable")

    assert "adapters" in str(failed.value)
