"""Artifact: the small frozen value that travels in place of a large output."""

import struct
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

Scalar = str | int | float | bool | None

NO_METADATA: Mapping[str, Scalar] = MappingProxyType({})


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """One large output of one Result: what it is, how big, and where its blob stands.

    Args:
        id: the Result that it belongs to.
        name: its name within that Result; unique there.
        file_name: the name a download gets; never part of a key.
        key: the blob's key below the store's root.
        etag: the store's entity tag of that blob, without quotes.
        size_bytes: length of the content.
        media_type: the content's type (RFC 6838), as sniffed or declared by the task.
        sha256: hex digest of the content.
        stored_bytes: length of the blob; differs from size_bytes when encoded.
        encoding: "" for raw, "zstd" for independent 1 MiB frames.
        retention: its class, a key of `layout.RETENTION_S`.
        expires_at: seconds since the epoch by the store's clock; None for class `keep`.
        metadata: small facts for people and programs (width, height, accuracy ...).
        owner: who owns it, as its Result; "" for nobody.
        mac: proves that a store with our secret key made it, and that nothing in it was changed; "" without a key.
    """

    id: str
    name: str
    file_name: str
    key: str
    etag: str
    size_bytes: int
    media_type: str
    sha256: str
    stored_bytes: int
    encoding: str = ""
    retention: str = "30d"
    expires_at: int | None = None
    metadata: Mapping[str, Scalar] = msgspec.field(default_factory=dict)
    owner: str = ""
    mac: str = ""

    def signed_parts(self) -> tuple[str, ...]:
        """All but the mac, as the words that it signs (docs/format.md)."""
        facts = [word for name in sorted(self.metadata) for word in (name, _word(self.metadata[name]))]
        plain = (self.id, self.name, self.file_name, self.key, self.etag, str(self.size_bytes), self.media_type)
        rest = (self.sha256, str(self.stored_bytes), self.encoding, self.retention, _word(self.expires_at), self.owner)
        return (*plain, *rest, *facts)

    def expired(self, now: float) -> bool:
        """Whether the Artifact is unreadable at `now` (seconds since the epoch, the store's clock)."""
        return self.expires_at is not None and now >= self.expires_at

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> dict[str, object]:
        """How pydantic takes an Artifact, whole or as JSON: in a model, or as a task's annotated argument.

        A core schema is a plain dict, so this floor needs no pydantic.
        """
        return {
            "type": "function-plain",
            "function": {"type": "no-info", "function": cls._validated},
            "serialization": {"type": "function-plain", "function": msgspec.to_builtins, "when_used": "json"},
        }

    @classmethod
    def _validated(cls, given: object) -> "Artifact":
        if isinstance(given, cls):
            return given
        try:
            return msgspec.convert(given, cls)
        except msgspec.ValidationError as error:
            raise ValueError(f"an Artifact is needed, not a {type(given).__name__} ({error})") from error


def _word(value: Scalar) -> str:
    """A scalar as one word that no other scalar has, in any language: numbers of JSON have many spellings."""
    match value:
        case None:
            return "n"
        case bool():
            return "b1" if value else "b0"
        case int():
            return f"i{value}"
        case float():
            return f"f{struct.pack('>d', value).hex()}"
        case str():
            return f"s{value}"
