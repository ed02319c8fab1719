"""ArtifactEncoder: carries Artifacts in messages and values, around the encoder that writes everything else."""

import msgspec
from dramatiq import DecodeError, Encoder

from resultstore.model.markers import mark, unmark


class ArtifactEncoder(Encoder):
    """Write each Artifact as its envelope and read it back; leave everything else to the inner encoder.

    The inner encoder gets the types that it would get without this one. Reading makes no request, because it runs in
    the worker's consumer thread.

    Args:
        inner: the encoder that makes bytes: Dramatiq's JSONEncoder, or one of the user's.
    """

    def __init__(self, inner: Encoder) -> None:
        self.inner = inner

    def encode(self, data: dict[str, object]) -> bytes:
        """Return the bytes of `data`: a message's fields, or any value that the inner encoder takes."""
        return self.inner.encode(mark(data))  # type: ignore[arg-type]  # a dict stays a dict

    def decode(self, data: bytes) -> dict[str, object]:
        """Return what `encode` was given. Raises dramatiq.DecodeError, also for a malformed envelope."""
        decoded = self.inner.decode(data)
        try:
            return unmark(decoded)  # type: ignore[return-value]  # a dict stays a dict
        except msgspec.ValidationError as error:
            raise DecodeError(f"a resultstore.artifact/1 envelope holds no Artifact: {error}", data, error) from error


def wrap_encoder(encoder: Encoder) -> ArtifactEncoder:
    """Return `encoder` in an ArtifactEncoder, or itself when it is one already."""
    return encoder if isinstance(encoder, ArtifactEncoder) else ArtifactEncoder(encoder)
