"""Pieces: a value that is written piece by piece is read as if it had been written at once."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import example, given, strategies as st
from kombu.exceptions import EncodeError
from kombu.serialization import dumps, loads

from resultstore.backends.celery.codec import json_writer
from resultstore.backends.celery.codec.json_writer import decode_text, encode_long_text, json_pieces
from resultstore.backends.celery.codec.serializers import JSON, deserialize, serialize_if_larger, surely_small
from tests.backends.celery.capture.test_spill_types import exact

LIMIT = 16_384

texts = st.text(max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(texts, inner, max_size=9) | st.tuples(inner, inner),
    max_leaves=30,
)


@pytest.fixture(autouse=True, scope="module")
def small_pieces():
    """Borders everywhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_writer, "_PIECE_CHARS", 3)
        patch.setattr(json_writer, "_LONG_CHARS", 3)
        patch.setattr(json_writer, "_MANY", 2)
        yield


@given(value=values)
@example(value='\ud83d\ude00 and half of one \ud800 " \\ \x00 \x7f é')
@example(value={1: "a", None: [1.5, {"long": "four"}, {}], False: ["x" * 9, [[[["deep" * 3]]]] * 3]})
@example(value=[datetime(2026, 1, 2, tzinfo=UTC), Decimal("1.50"), {"s": (1, 2, 3, 4)}, b"\xff"])
def test_pieces_say_what_the_whole_says(value: object):
    whole = dumps(value, "json")[2]

    said = b"".join(json_pieces(value))

    assert exact(deserialize(said, JSON)) == exact(loads(whole, JSON, "utf-8"))


def test_pieces_of_a_long_list_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(json_writer, "_PIECE_CHARS", 10_000)

    said = [len(one) for one in json_pieces([{"n": number, "text": "t" * 50} for number in range(5_000)])]

    assert max(said) < 20_000
    assert sum(said) > 300_000


def test_unwritable_value_is_none_or_a_late_error():
    assert serialize_if_larger([object(), "x" * LIMIT], LIMIT, "json") is None
    taken, media_type = serialize_if_larger(["x" * LIMIT, 1, 2, 3, object()], LIMIT, "json")
    assert media_type == JSON
    with pytest.raises(EncodeError):
        list(taken)


@pytest.mark.parametrize("serializer", ["json", "yaml", "msgpack"])
@given(
    value=st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70), limit=st.integers(0, 2_000)
)
def test_surely_small_values_fit_in_every_serializer(serializer: str, value: object, limit: int):
    if surely_small(value, limit):
        assert serialize_if_larger(value, limit, serializer) is None


def test_small_values_are_surely_small_above_limit_zero():
    assert all(surely_small(one, LIMIT) for one in (None, True, 5, -1.5, "short"))
    assert not any(surely_small(one, 0) for one in (None, True, 5, -1.5, "short"))
    assert not any(surely_small(one, LIMIT) for one in ("x" * 65, 2**64, [], {}, b"", object()))


@pytest.mark.parametrize("serializer", ["json", "yaml", "msgpack"])
def test_outgrown_takes_all_or_nothing(serializer: str):
    value = ["x" * 100] * 300

    taken, media_type = serialize_if_larger(value, LIMIT, serializer)

    assert deserialize(b"".join(taken), media_type) == value
    assert serialize_if_larger(value, 100_000, serializer) is None


@pytest.mark.parametrize("text", ["long enough", 'é\x00"\\\n', "\ud800 half a pair"])
def test_long_text_is_read_as_written(text: str):
    written = encode_long_text(text)

    assert decode_text(written if written is not None else dumps(text, "json")[2].encode()) in {text, None}
    assert (written is None) == ("\ud800" in text)
    assert [encode_long_text(other) for other in ("s", 5, ["long enough"], None)] == [None] * 4
    assert [decode_text(other) for other in (b"[1]", b"", b'"\\ud800"', None)] == [None] * 4
