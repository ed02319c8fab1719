"""Spill: the small frozen reference to a plain value that was too big to travel."""

import msgspec


class Spill(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a plain value stands, and how to read it. A value of at most some hundred bytes; it holds no content.

    Args:
        id: the Result whose value it is, or an id of its own for an argument.
        key: the blob's key below the store's root.
        size_bytes: length of the value as its serializer wrote it.
        stored_bytes: length of the blob; differs from size_bytes when encoded.
        sha256: hex digest of the value as its serializer wrote it.
        media_type: the serializer, by the content type that it writes (`application/json`).
        encoding: "" for raw, "zstd" for independent 1 MiB frames.
        owner: whose value it is; only tasks of the same owner may use it.
        expires_at: seconds since the epoch by the store's clock; None for class `keep`.
        mac: proves that it was made by somebody who knows the secret key; "" where none is set.
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
        """Short, and without what lets others use it: task arguments are logged and shown by monitors."""
        return f"Spill({self.id!r}, {self.size_bytes} bytes)"

    def expired(self, now: float) -> bool:
        """Whether the value is unreadable at `now` (seconds since the epoch, the store's clock)."""
        return self.expires_at is not None and now >= self.expires_at

    @property
    def signed(self) -> tuple[str, ...]:
        """What its mac speaks for: every other field."""
        return tuple(str(getattr(self, name)) for name in self.__struct_fields__ if name != "mac")
