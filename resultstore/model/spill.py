"""Spill: the reference to a plain value that is too large for a message (claim check)."""

import msgspec


class Spill(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Reference to a plain value that was too large for a message or a record: where it is stored, how to read it.

    It is a few hundred bytes long and holds no content.

    Args:
        id: id of the Result whose value it is, or an id of its own for an argument.
        key: key of the blob, relative to the store's root.
        size_bytes: length of the serialized value.
        stored_bytes: length of the blob; differs from `size_bytes` if the value is compressed.
        sha256: SHA-256 of the serialized value in hex.
        media_type: content type of the serializer (`application/json`).
        encoding: "" if the blob is the value itself, "zstd" for independent frames of 1 MiB.
        owner: owner of the value; only tasks of the same owner may read it.
        expires_at: when the blob expires, in seconds since the epoch by the store's clock; None for class `keep`.
        mac: proves that a store with the same secret key made it; "" if no key is set.
    """

    id: str
    key: str
    size_bytes: int
    stored_bytes: int
    sha256: str
    media_type: str
    encoding: str = ""
    owner: str = ""
    expires_at: int | None = None
    mac: str = ""

    def __repr__(self) -> str:
        """Return a short text without key and MAC: task arguments are logged and shown by monitors."""
        return f"Spill({self.id!r}, {self.size_bytes} bytes)"

    def expired(self, now: float) -> bool:
        """Return whether the value has expired at `now` (seconds since the epoch by the store's clock)."""
        return self.expires_at is not None and now >= self.expires_at

    @property
    def signed(self) -> tuple[str, ...]:
        """Texts that the MAC signs: all fields but `mac`."""
        return tuple(str(getattr(self, name)) for name in self.__struct_fields__ if name != "mac")
