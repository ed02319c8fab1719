"""Jobs that the test worker of every backend runs: plain functions, which each adapter registers as its tasks."""

import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
import redis

from resultstore import Artifact, BadInput, NotYours, Output, Store

MIB = b"m" * (1 << 20)
GATE_LIMIT_S = 60
RETRIED = "fails_once"  # the job that its adapter runs again once after an OSError
Job = Callable[..., object]


def make_jobs(store: Store, *, notes: redis.Redis, send: Callable[..., str]) -> list[Job]:
    """Return the jobs, which store with `store` and start others with `send`."""
    return [*_outputs(store), *_objects(), *_values(), *_events(store, notes, send)]


def _outputs(store: Store) -> list[Job]:
    def output() -> Output:
        return Output(data=b"%PDF-1.7 report", name="report.pdf", metadata={"pages": 3}, retention="7d")

    def generator(mib: int) -> Iterator[bytes]:
        for _ in range(mib):
            yield MIB

    def path() -> Path:
        with tempfile.NamedTemporaryFile(suffix=".csv", delete=False) as made:
            made.write(b"a,b\n1,2\n")
        return Path(made.name)

    def file() -> BinaryIO:
        made = tempfile.TemporaryFile()  # noqa: SIM115 - it is the return value
        made.write(b"from a file")
        made.seek(0)
        return made

    def container() -> dict[str, object]:
        return {"thumbs": [Output(data=b"1", name="one"), Output(data=b"22", name="two")], "count": 2}

    def parts() -> list[Artifact]:
        return [store.put(b"part %d" % number, name=f"part-{number}") for number in range(3)]

    def different() -> Output:
        return Output(data=uuid.uuid4().bytes)

    def fails() -> Iterator[bytes]:
        yield MIB * 9
        raise BadInput("image cat.jpg of 7f3a is truncated: upload it again")

    return [output, generator, path, file, container, parts, different, fails]


def _objects() -> list[Job]:
    def frame() -> pd.DataFrame:
        return pd.DataFrame({"n": [1, 2, 3]})

    def objects() -> dict[str, object]:
        array = np.arange(6)
        return {
            "arrays": [array, array],
            "table": Output(data=pd.DataFrame({"n": [1]}), name="sales.csv"),
            "mean": array.mean(),
            "longest": array.max(),
            "ok": np.bool_(True),
        }

    def unwritable() -> object:
        return {"found": pd.Timestamp.now().to_period("D")}

    return [frame, objects, unwritable]


def _values() -> list[Job]:
    def add(x: int, y: int) -> int:
        return x + y

    def text(size_bytes: int) -> str:
        return "v" * size_bytes

    def length(text: str) -> int:
        return len(text)

    return [add, text, length]


def _events(store: Store, notes: redis.Redis, send: Callable[..., str]) -> list[Job]:
    def read(artifact: Artifact) -> str:
        try:
            with store.open(artifact) as content:
                return content.read().decode()
        except NotYours:
            return "refused"

    def sends(owner: str) -> str:
        return send("add", 1, 1, owner=owner)

    def counts(key: str) -> int:
        return notes.incr(key)

    def fails_once(key: str) -> Iterator[bytes]:
        run = notes.incr(key)
        yield b"run %d" % run
        if run == 1:
            raise OSError("once")

    def waits(gate: str, outcome: str) -> object:
        store.progress(3, 10, "three of ten")
        notes.set(f"{gate}:begun", 1, ex=GATE_LIMIT_S)
        notes.blpop([gate], timeout=GATE_LIMIT_S)
        if outcome != "value":
            store.put(b"a part", name="part")
        if outcome == "failure":
            raise ValueError(outcome)
        return {"artifact": Output(data=b"late"), "large value": "v" * 100_000}.get(outcome, outcome)

    return [read, sends, counts, fails_once, waits]
