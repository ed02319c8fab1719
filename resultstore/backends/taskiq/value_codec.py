"""ValueCodec: plain values and the Artifacts in them, to bytes and back, by a taskiq serializer."""

import msgspec
from pydantic_core import PydanticSerializationError, to_jsonable_python
from taskiq.abc.serializer import TaskiqSerializer
from taskiq.serializers import JSONSerializer, PickleSerializer

from resultstore.capture.adapters import explain_unwritable
from resultstore.model.errors import Misconfigured, WrongType
from resultstore.model.markers import TYPE_KEY, is_envelope, is_reference, read_envelope, replace_items, write_envelope
from resultstore.store.numpy_scalars import is_numpy_scalar, plain_scalar


class ValueCodec:
    """Writes plain values as bytes, and reads them.

    Args:
        serializer: one of taskiq's; by default JSON. Raises Misconfigured for pickle.
    """

    def __init__(self, serializer: TaskiqSerializer | None = None) -> None:
        if isinstance(serializer, PickleSerializer):
            raise Misconfigured("resultstore unpickles no stored byte: use a JSON, orjson, msgpack or CBOR serializer")
        self._serializer = serializer or JSONSerializer()

    def encoded(self, value: object) -> bytes:
        """Return the bytes of `value`, by the rules of pydantic's JSON: models, dataclasses and dates become plain.

        Raises WrongType for a value that JSON cannot hold.
        """
        try:
            return self._serializer.dumpb(to_jsonable_python(value, fallback=_envelope_or_refuse))
        except (PydanticSerializationError, TypeError, ValueError) as error:
            explained = explain_unwritable(value) or (
                f"a {type(value).__name__} that is not JSON cannot be kept as a plain value: return plain values, or "
                "the bytes as an Output"
            )
            raise WrongType(f"{explained} ({error})") from error

    def decoded(self, payload: bytes | None) -> object:
        """Return what `encoded` was given, as plain JSON values and Artifacts; None for None."""
        if payload is None:
            return None
        value = self._serializer.loadb(payload)
        # Every serializer leaves text readable, so a large value without Artifacts needs no walk.
        return restore(value) if TYPE_KEY.encode() in payload else value


def restore(value: object) -> object:
    """Return `value` with its Artifacts in place of their envelopes. It does no I/O.

    A malformed envelope stays a dict: an error here would lose the whole message.
    """
    if not is_envelope(value):
        return replace_items(value, restore)
    try:
        return read_envelope(value)
    except msgspec.ValidationError:
        return value


def _envelope_or_refuse(value: object) -> object:
    if is_reference(value):
        return write_envelope(value)
    if is_numpy_scalar(value):  # inside a model or a dataclass, which `capture` does not look into
        return plain_scalar(value)
    raise TypeError(f"resultstore cannot write a {type(value).__name__} as JSON")
