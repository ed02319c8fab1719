"""Small facts: metadata comes back as it was given or is refused; what a task reports never fails it."""

import math
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from fractions import Fraction
from pathlib import Path

import pytest

from resultstore import BadReference, Settings, Store, WrongType, connect
from resultstore.model import record
from resultstore.model.result import Result
from resultstore.store.attempt import Attempt, running


@pytest.mark.parametrize(
    "metadata",
    [
        *({"a": value} for value in [[1], {}, object(), "\ud800", math.nan, math.inf, -math.inf, 2**64, -(2**63) - 1]),
        *(
            {"a": value}
            for value in [b"bytes", Decimal("1.5"), datetime(2026, 1, 1, tzinfo=UTC), uuid.UUID(int=7), 1j, ("a",)]
        ),
        {1: "a"},
        {"\udc80": "a"},
    ],
)
def test_metadata_that_no_seal_holds_is_refused(store: Store, metadata):
    with pytest.raises(WrongType, match="metadata"):
        store.put(b"x", id="job", metadata=metadata)

    assert list(store.blobs.list("")) == []


class Kind(StrEnum):
    """A text of a type of its own."""

    FOREST = "forest"


class Count(IntEnum):
    """A number of a type of its own."""

    MANY = 7


@pytest.mark.parametrize(
    "value",
    [
        2**64 - 1,
        -(2**63),
        0,
        -0.0,
        5e-324,
        1.7976931348623157e308,
        2.0,
        True,
        False,
        None,
        "",
        "\0",
        Kind.FOREST,
        Count.MANY,
    ],
    ids=repr,
)
def test_metadata_comes_back_as_it_was_given(tmp_path: Path, value: object):
    settings = Settings(index_url="memory://", blobs_url=tmp_path.as_uri(), secret_key="k" * 32)
    store = connect(settings)

    artifact = store.put(b"x", id="job", metadata={"a": value})

    for found in [artifact, store.load("job").artifacts[0], connect(settings).load("job").artifacts[0]]:
        kept = found.metadata["a"]
        assert (kept, repr(kept)) == (value, repr(getattr(value, "value", value)))
        assert type(kept) in {int, float, bool, type(None), str}
        store.signatures.check(found)


@pytest.mark.parametrize(
    ("reported", "shown"),
    [
        ((1, 2, "half"), (1, 2, "half")),
        ((math.nan, math.inf, "none"), (0, 0, "none")),
        ((2**70, -(2**70), ""), (2.0**70, -(2.0**70), "")),
        ((10**400, 1, ""), (0, 1, "")),
        ((Decimal("0.5"), Fraction(1, 2), 3), (0.5, 0.5, "3")),
        ((True, None, None), (1, 0, "")),
        (("many", [], "\udc80"), (0, 0, "\\udc80")),
    ],
)
def test_no_task_fails_for_what_it_reports(store: Store, reported: tuple[object, ...], shown: tuple[object, ...]):
    with running(Attempt("job")):
        store.progress(*reported)

    found = store.index.load("job").progress
    assert (found.done, found.total) == shown[:2]
    assert record.decode("job", *record.encode(Result(id="job", progress=found))).progress.note == shown[2]


@pytest.mark.parametrize("retention", ["", "2d"])
def test_no_retention_class_stands_for_the_default(store: Store, retention: str):
    with pytest.raises(BadReference, match="retention class"):
        store.put(b"x", retention=retention)
    with pytest.raises(BadReference, match="retention class"):
        store.seal(Attempt("job"), value=b"1", retention=retention)
