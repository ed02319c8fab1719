"""Capture: large outputs are stored wherever they stand, everything else is given back as it is."""

import io
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import pytest

from resultstore import Artifact, Output, Settings, Store, WrongType, connect
from resultstore.capture.outputs import capture
from resultstore.store.attempt import Attempt, running


class Pair(NamedTuple):
    left: object
    right: object


@pytest.fixture
def store() -> Store:
    return connect(Settings(index_url="memory://", blobs_url="memory://"))


def captured(store: Store, returned: object) -> object:
    with running(Attempt("job")):
        return capture(store, returned)


def test_outputs_are_found_in_lists_tuples_and_dicts_however_deep(store: Store):
    returned = {"a": [(Output(data=b"1", name="1"), 5)], "b": ({"c": Output(data=b"2", name="2")},)}

    found = captured(store, returned)

    assert found["a"][0][1] == 5
    artifacts = [found["a"][0][0], found["b"][0]["c"]]
    assert [store.open(artifact).read() for artifact in artifacts] == [b"1", b"2"]
    assert isinstance(found["b"], tuple)


@pytest.mark.parametrize(
    "value", [None, 5, "text", b"small bytes", [], (), {}, Pair(1, [2]), OrderedDict(a=1), iter([1]), range(3)]
)
def test_a_value_is_given_back_as_it_is(store: Store, value: object):
    found = captured(store, value)

    assert found == value
    assert type(found) is type(value)
    assert list(store.blobs.list("")) == []


def test_a_container_of_a_type_of_its_own_is_a_value(store: Store):
    output = Output(data=b"x")

    assert captured(store, Pair(1, output)).right is output
    assert captured(store, OrderedDict(a=output))["a"] is output


def test_an_output_is_kept_as_it_says(store: Store):
    output = Output(
        data=b"x" * 1_000, name="n.bin", media_type="image/png", metadata={"w": 1}, retention="7d", compress=True
    )

    artifact = captured(store, output)

    assert isinstance(artifact, Artifact)
    assert (artifact.name, artifact.media_type, artifact.metadata) == ("n.bin", "image/png", {"w": 1})
    assert (artifact.retention, artifact.encoding) == ("7d", "zstd")


def test_a_file_is_closed_when_it_is_stored_and_when_it_cannot_be(store: Store, tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"text")
    binary, text = path.open("rb"), path.open(encoding="utf-8")

    assert store.open(captured(store, binary)).read() == b"text"
    assert binary.closed
    with text, pytest.raises(WrongType, match="binary mode"):
        captured(store, text)
    assert list(store.blobs.list("blobs/"))[1:] == []


def test_a_path_an_open_buffer_and_a_generator_are_stored(store: Store, tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n")
    generator = (piece for piece in [b"1", b"2"])

    found = captured(store, [path, io.BytesIO(b"buffer")])

    assert [store.open(artifact).read() for artifact in found] == [b"a,b\n", b"buffer"]
    assert store.open(captured(store, generator)).read() == b"12"
