"""Texts: read in pieces, a JSON text is what it is when it is read as a whole."""

import json
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given, strategies as st
from kombu.exceptions import DecodeError

from resultstore.backends.celery.codec.json_reader import deserialize_pieces
from resultstore.backends.celery.codec.serializers import JSON, deserialize

ANY = st.characters() | st.sampled_from('\\"/\n\x00é😀u\udc00\ud83d')
TEXTS = st.text(ANY, max_size=300) | st.lists(st.sampled_from(["\\", "😀", "\ud83d", "\ude00", "é", "x"])).map("".join)


def cut(payload: bytes, size: int) -> Iterator[bytes]:
    return (payload[at : at + size] for at in range(0, len(payload), size))


@given(text=TEXTS, size=st.integers(1, 80), ascii_only=st.booleans())
def test_text_in_pieces_of_any_length_is_equal(text: str, size: int, *, ascii_only: bool):
    payload = json.dumps(text, ensure_ascii=ascii_only).encode("utf-8", "replace")

    assert deserialize_pieces(cut(payload, size), JSON) == json.loads(payload)


@pytest.mark.parametrize("unit", ["0123456789abcdef", "\\", '"', "é", "汉字", "😀", "\n", "a\\", "\ud83d", "\\ud83d"])
@pytest.mark.parametrize("writer", [lambda text: json.dumps(text).encode(), msgspec.json.encode])
def test_a_long_text_of_whatever_is_the_same(unit: str, writer):
    text = unit * (200_000 // len(unit))
    if writer is msgspec.json.encode and not text.isprintable() and "\ud83d" in text:
        writer = lambda text: json.dumps(text).encode()  # noqa: E731 - msgspec writes no half of a pair

    assert deserialize_pieces(cut(writer(text), 4_999), JSON) == text


@pytest.mark.parametrize("value", [[1, 2, "x"], {"a": "b" * 100}, 5, None, ""])
@given(size=st.integers(1, 20))
def test_all_else_is_read_as_a_whole(value: object, size: int):
    assert deserialize_pieces(cut(json.dumps(value).encode(), size), JSON) == value


def test_other_serializers_are_left_to_themselves():
    assert (
        deserialize_pieces([b'"a', b'b"\n'], "application/x-yaml")
        == deserialize(b'"ab"\n', "application/x-yaml")
        == "ab"
    )


@pytest.mark.parametrize("payload", [b'"', b'"abc', b'"abc\\"', b'"a" "b"', b'"\xff"', b'"\\u12"'])
def test_what_is_no_json_is_refused(payload: bytes):
    with pytest.raises((ValueError, DecodeError)):
        deserialize_pieces(cut(payload, 3), JSON)
