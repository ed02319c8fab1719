"""Encoding: plain values with Artifacts among them, as a taskiq serializer writes and reads them."""

from collections.abc import Callable

import msgspec
from pydantic_core import PydanticSerializationError, to_jsonable_python
from taskiq.abc.serializer import TaskiqSerializer
from taskiq.serializers import JSONSerializer, PickleSerializer

from resultstore.model.artifact import Artifact
from resultstore.model.errors import Misconfigured, WrongType

MARKER = "resultstore.artifact/1"
# The shape that kombu's JSON gives to a registered type: the Celery door writes the same.
_TYPE, _VALUE = "__type__", "__value__"


class ValueCodec:
    """Plain values to bytes and back.

    Args:
        serializer: one of taskiq's; by default JSON. Raises Misconfigured for pickle.
    """

    def __init__(self, serializer: TaskiqSerializer | None = None) -> None:
        if isinstance(serializer, PickleSerializer):
            raise Misconfigured(
                "resultstore unpickles no stored byte: give ResultStoreBackend JSON, orjson, msgpack or CBOR"
            )
        self._serializer = serializer or JSONSerializer()

    def encoded(self, value: object) -> bytes:
        """The bytes of `value`, by the rules of pydantic's JSON: models, dataclasses and dates become plain.

        Raises WrongType when there is something in it that JSON does not know.
        """
        try:
            return self._serializer.dumpb(to_jsonable_python(value, fallback=_marked_or_refused))
        except (PydanticSerializationError, TypeError, ValueError) as error:
            raise WrongType(
                f"a {type(value).__name__} that is not JSON cannot be kept as a plain value ({error}): "
                "return plain values, or the bytes as an Output"
            ) from error

    def decoded(self, payload: bytes | None) -> object:
        """What `encoded` was given, as JSON knows it, Artifacts whole; None for nothing."""
        if payload is None:
            return None
        value = self._serializer.loadb(payload)
        # Every serializer leaves text readable, so a large value without Artifacts is spared the walk.
        return restored(value) if MARKER.encode() in payload else value


def marked(value: object) -> object:
    """`value` with a small dict in the place of each Artifact inside lists, tuples and dicts."""
    return _marker_of(value) if isinstance(value, Artifact) else _walked(value, marked)


def restored(value: object) -> object:
    """What `marked` was given. It does no I/O.

    A marker that no Artifact can be made of stays a dict: an error here would lose the whole message.
    """
    if isinstance(value, dict) and value.get(_TYPE) == MARKER:
        try:
            return msgspec.convert(value.get(_VALUE), Artifact)
        except msgspec.ValidationError:
            return value
    return _walked(value, restored)


def _walked(value: object, swap: Callable[[object], object]) -> object:
    # Exactly these types: a subclass is a value that is made in its own way.
    if type(value) is dict:
        return {key: swap(one) for key, one in value.items()}
    if type(value) is list:
        return [swap(one) for one in value]
    if type(value) is tuple:
        return tuple(swap(one) for one in value)
    return value


def _marked_or_refused(thing: object) -> object:
    if isinstance(thing, Artifact):
        return _marker_of(thing)
    raise TypeError(f"nothing tells how to write a {type(thing).__name__}")


def _marker_of(artifact: Artifact) -> dict[str, object]:
    return {_TYPE: MARKER, _VALUE: msgspec.to_builtins(artifact)}
