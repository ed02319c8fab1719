"""capture: large outputs are stored, also inside containers, and everything else is returned as it is."""

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


def test_outputs_are_found_in_nested_containers(store: Store):
    returned = {"a": [(Output(data=b"1", name="1"), 5)], "b": ({"c": Output(data=b"2", name="2")},)}

    found = captured(store, returned)

    assert found["a"][0][1] == 5
    artifacts = [found["a"][0][0], found["b"][0]["c"]]
    assert [store.open(artifact).read() for artifact in artifacts] == [b"1", b"2"]
    assert isinstance(found["b"], tuple)


@pytest.mark.parametrize(
    "value", [None, 5, "text", b"small bytes", [], (), {}, Pair(1, [2]), OrderedDict(a=1), iter([1]), range(3)]
)
def test_plain_value_is_returned_as_it_is(store: Store, value: object):
    found = captured(store, value)

    assert found == value
    assert type(found) is type(value)
    assert list(store.blobs.list("")) == []


def test_container_of_a_subclass_is_a_plain_value(store: Store):
    output = Output(data=b"x")

    assert captured(store, Pair(1, output)).right is output
    assert captured(store, OrderedDict(a=output))["a"] is output


def test_output_is_stored_as_declared(store: Store):
    output = Output(
        data=b"x" * 1_000, name="n.bin", media_type="image/png", metadata={"w": 1}, retention="7d", compress=True
    )

    artifact = captured(store, output)

    assert isinstance(artifact, Artifact)
    assert (artifact.name, artifact.media_type, artifact.metadata) == ("n.bin", "image/png", {"w": 1})
    assert (artifact.retention, artifact.encoding) == ("7d", "zstd")


def test_file_is_closed_whether_stored_or_refused(store: Store, tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"text")
    binary, text = path.open("rb"), path.open(encoding="utf-8")

    assert store.open(captured(store, binary)).read() == b"text"
    assert binary.closed
    with text, pytest.raises(WrongType, match="binary mode"):
        captured(store, text)
    assert list(store.blobs.list("blobs/"))[1:] == []


def test_path_buffer_and_generator_are_stored(store: Store, tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n")
    generator = (piece for piece in [b"1", b"2"])

    found = captured(store, [path, io.BytesIO(b"buffer")])

    assert [store.open(artifact).read() for artifact in found] == [b"a,b\n", b"buffer"]
    assert store.open(captured(store, generator)).read() == b"12"
