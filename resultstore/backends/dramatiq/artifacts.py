"""ArtifactEncoder: lets Artifacts travel in messages and values, around whatever encoder writes the rest."""

from collections.abc import Callable

import msgspec
from dramatiq import DecodeError, Encoder

from resultstore.model.artifact import Artifact

MARKER = "resultstore.artifact/1"

# The envelope of kombu's JSON, so that an Artifact looks the same in every door's messages.
_TYPE, _VALUE = "__type__", "__value__"


class ArtifactEncoder(Encoder):
    """Writes each Artifact as a small marked mapping, and reads it back; all else is left to the encoder inside.

    Reading makes no request: it runs in the worker's consumer thread.

    Args:
        inner: the encoder that makes bytes: Dramatiq's JSONEncoder, or one of the user's.
    """

    def __init__(self, inner: Encoder) -> None:
        self.inner = inner

    def encode(self, data: dict[str, object]) -> bytes:
        """The bytes of `data`: a message's fields, or any value that the encoder inside takes."""
        return self.inner.encode(_written(data))  # type: ignore[arg-type]  # a dict stays a dict

    def decode(self, data: bytes) -> dict[str, object]:
        """What `encode` was given. Raises dramatiq.DecodeError, also when a marked mapping is no Artifact."""
        decoded = self.inner.decode(data)
        try:
            return _read(decoded)  # type: ignore[return-value]  # a dict stays a dict
        except msgspec.ValidationError as error:
            raise DecodeError(f"a mapping is marked {MARKER} and is no Artifact: {error}", data, error) from error


def around(encoder: Encoder) -> ArtifactEncoder:
    """`encoder` with Artifacts; the same one when it has them already."""
    return encoder if isinstance(encoder, ArtifactEncoder) else ArtifactEncoder(encoder)


def _written(data: object) -> object:
    if isinstance(data, Artifact):
        return {_TYPE: MARKER, _VALUE: msgspec.to_builtins(data)}
    return _changed(data, _written)


def _read(data: object) -> object:
    if isinstance(data, dict) and data.get(_TYPE) == MARKER:
        return msgspec.convert(data.get(_VALUE), Artifact)
    return _changed(data, _read)


def _changed(data: object, change: Callable[[object], object]) -> object:
    """`data` with what it contains changed; the very same object where nothing is.

    So the encoder inside meets the types that it would have met without this one.
    """
    if isinstance(data, dict):
        new = {key: after for key, value in data.items() if (after := change(value)) is not value}
        return {**data, **new} if new else data
    if isinstance(data, list | tuple):
        items = [change(value) for value in data]
        if all(after is before for after, before in zip(items, data, strict=True)):
            return data
        return tuple(items) if isinstance(data, tuple) else items
    return data
