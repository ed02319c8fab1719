"""Values that the taskiq backend stores and returns, without a broker."""

import asyncio
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st
from pydantic import BaseModel, TypeAdapter
from taskiq import TaskiqResult
from taskiq.depends.progress_tracker import TaskProgress
from taskiq.serializers import PickleSerializer

from resultstore import Artifact, Misconfigured, Settings, Store, WrongType, connect
from resultstore.backends.taskiq import ResultStoreBackend
from resultstore.backends.taskiq.value_codec import restore
from resultstore.model.markers import mark


@pytest.fixture
def store() -> Store:
    return connect(Settings(index_url="memory://", blobs_url="memory://"))


def test_late_progress_does_not_undo_a_result(store: Store):
    async def run() -> tuple[bool, str]:
        backend = ResultStoreBackend(store)
        failed = TaskiqResult(is_err=True, return_value=None, error=OSError("gone"), execution_time=0.1)
        await backend.set_result("a", failed)
        await backend.set_progress("a", TaskProgress(state="HALF", meta=None))
        return await backend.is_result_ready("a"), str((await backend.get_result("a")).error)

    assert asyncio.run(run()) == (True, "gone")


def test_backend_alone_seals_or_refuses_values(store: Store):
    async def run() -> tuple[object, BaseException]:
        backend = ResultStoreBackend(store)
        await backend.set_result("a", TaskiqResult(is_err=False, return_value="v" * 50_000, execution_time=0.1))
        with pytest.raises(WrongType):
            await backend.set_result("b", TaskiqResult(is_err=False, return_value=b"\xff", execution_time=0.1))
        return (await backend.get_result("a")).return_value, (await backend.get_result("b")).error

    value, error = asyncio.run(run())

    assert value == "v" * 50_000
    assert store.load("a").sealed
    assert isinstance(error, WrongType)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(value=json_values)
@hypothesis_settings(max_examples=60, deadline=None)
def test_no_type_depends_on_size(value):
    async def kept(limit_bytes: int) -> object:
        backend = ResultStoreBackend(
            connect(Settings(index_url="memory://", blobs_url="memory://", inline_max_bytes=limit_bytes))
        )
        await backend.set_result("a", TaskiqResult(is_err=False, return_value=value, execution_time=0.1))
        assert backend.store.load("a").sealed is (limit_bytes == 0)
        return (await backend.get_result("a")).return_value

    assert asyncio.run(kept(0)) == asyncio.run(kept(1 << 20)) == value


def test_malformed_envelope_stays_a_mapping():
    broken = {"__type__": "resultstore.artifact/1", "__value__": {"id": 7}}

    assert restore([broken, {"a": (1, broken)}]) == [broken, {"a": (1, broken)}]


def test_pydantic_validates_artifacts(store: Store):
    artifact = store.put(b"x", metadata={"n": 1})
    adapter = TypeAdapter(list[Artifact])

    assert adapter.validate_python([artifact]) == [artifact]
    assert adapter.validate_json(adapter.dump_json([artifact])) == [artifact]
    assert restore(mark({"a": [artifact]})) == {"a": [artifact]}
    with pytest.raises(ValueError, match="id"):
        adapter.validate_python([{**msgspec.to_builtins(artifact), "id": 7}])


def test_pickle_is_refused(store: Store):
    with pytest.raises(Misconfigured, match="unpickles no stored byte"):
        ResultStoreBackend(store, serializer=PickleSerializer())


def test_scalars_of_numpy_in_models_are_plain(store: Store):
    class Score(BaseModel):
        mean: Any

    backend = ResultStoreBackend(store)

    assert backend.codec.decoded(backend.codec.encoded(Score(mean=np.float32(0.5)))) == {"mean": 0.5}
