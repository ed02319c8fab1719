"""Artifacts in messages: how kombu's JSON writes and reads the small value that travels."""

from collections.abc import Mapping

import msgspec
from kombu.utils.json import register_type

from resultstore.model.artifact import Artifact

MARKER = "resultstore.artifact/1"


def register() -> None:
    """Teach kombu's JSON about Artifacts. Decoding does no I/O: it runs in the consumer process too."""
    register_type(Artifact, MARKER, msgspec.to_builtins, _decoded)


def _decoded(plain: Mapping[str, object]) -> Artifact:
    return msgspec.convert(plain, Artifact)
