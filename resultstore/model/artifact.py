"""Artifact: the reference to a large output, which is passed between tasks in its place (claim check)."""

import struct
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from resultstore.model.artifact_html import html_of, preview_of
from resultstore.model.errors import BadReference

Scalar = str | int | float | bool | None

NO_METADATA: Mapping[str, Scalar] = MappingProxyType({})


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """Reference to one large output of a Result: what it is, how large it is, and where its blob is stored.

    Tasks return it and receive it as an argument; `store.open(artifact)` reads its content. It holds no content.

    Args:
        id: id of the Result that it belongs to.
        name: name of the output, unique within its Result.
        file_name: name of the file when the output is downloaded; never part of a key.
        key: key of the blob, relative to the store's root.
        etag: entity tag of the blob in the object store, without quotes.
        size_bytes: length of the content.
        media_type: type of the content (RFC 6838), as detected or as declared by the task.
        sha256: SHA-256 of the content in hex.
        stored_bytes: length of the blob; differs from `size_bytes` if the content is compressed.
        encoding: "" if the blob is the content itself, "zstd" for independent frames of 1 MiB.
        retention: retention class, a key of `layout.RETENTION_S`.
        expires_at: when the blob expires, in seconds since the epoch by the store's clock; None for class `keep`.
        metadata: small facts about the content, such as its width, height or accuracy.
        owner: owner of the Result; "" if it has none.
        mac: proves that a store with the same secret key made this Artifact, and that no field was changed since;
            "" if no key is set.
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
        """Return the texts that the MAC signs: all fields but `mac` (docs/format.md)."""
        facts = [word for name in sorted(self.metadata) for word in (name, _word(self.metadata[name]))]
        plain = (self.id, self.name, self.file_name, self.key, self.etag, str(self.size_bytes), self.media_type)
        rest = (self.sha256, str(self.stored_bytes), self.encoding, self.retention, _word(self.expires_at), self.owner)
        return (*plain, *rest, *facts)

    def expired(self, now: float) -> bool:
        """Return whether the Artifact has expired at `now` (seconds since the epoch by the store's clock)."""
        return self.expires_at is not None and now >= self.expires_at

    def as_dict(self) -> dict[str, object]:
        """Return all fields as plain values for `json.dumps`; `from_dict` makes an equal Artifact of them."""
        plain: dict[str, object] = msgspec.to_builtins(self)
        return plain

    @classmethod
    def from_dict(cls, given: object) -> "Artifact":
        """Return the Artifact that `as_dict` described. Whether this store made it is checked when it is used.

        Raises BadReference, naming the field that does not fit.
        """
        try:
            return msgspec.convert(given, cls)
        except msgspec.ValidationError as error:
            raise BadReference(f"this is no Artifact ({error}): pass what Artifact.as_dict() returned") from error

    def __repr__(self) -> str:
        """Return what identifies it, without the key of its blob and its MAC."""
        shown = (f"{name}={getattr(self, name)!r}" for name in ("id", "name", "size_bytes", "media_type"))
        return f"Artifact({', '.join(shown)})"

    def _repr_html_(self) -> str:
        """Return what notebooks show: facts, and a preview and link by the store that this process has connected."""
        facts = {"id": self.id, "size": f"{self.size_bytes:,} bytes", "type": self.media_type, **self.metadata}
        return html_of(self.file_name or self.name, facts, media_type=self.media_type, preview=preview_of(self))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> dict[str, object]:
        """Return the schema by which pydantic accepts an Artifact or its JSON, in a model or as an argument.

        A core schema is a plain dict, so that this package does not import pydantic.
        """
        return {
            "type": "function-plain",
            "function": {"type": "no-info", "function": cls._validated},
            "serialization": {"type": "function-plain", "function": msgspec.to_builtins, "when_used": "json"},
        }

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: object, handler: object) -> dict[str, object]:
        """Return the JSON schema of the form in which pydantic writes an Artifact; FastAPI's documents show it."""
        _, components = msgspec.json.schema_components([cls])
        described: dict[str, object] = components[cls.__name__]
        return {**described, "description": "Reference to one large output of a Result."}

    @classmethod
    def _validated(cls, given: object) -> "Artifact":
        if isinstance(given, cls):
            return given
        try:
            return msgspec.convert(given, cls)
        except msgspec.ValidationError as error:
            raise ValueError(f"an Artifact is needed, not a {type(given).__name__} ({error})") from error


def _word(value: Scalar) -> str:
    """Return a scalar as a text that no other scalar has, in any language: numbers of JSON have many spellings."""
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
