"""Answers of the gateway, as frozen values. Members that a newer gateway adds are ignored."""

from collections.abc import Mapping
from typing import Final

import msgspec

_ENDED: Final = frozenset({"SUCCESS", "FAILURE", "REVOKED"})


class RemoteProgress(msgspec.Struct, frozen=True):
    """The progress of a running task; `percent` is None while the total is unknown."""

    done: float
    total: float
    percent: float | None = None
    note: str = ""


class RemoteFailure(msgspec.Struct, frozen=True):
    """Why a task failed, and what can be done about it."""

    type: str
    message: str
    hint: str = ""


class RemoteArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """One output file of a task. `expires_at` is in seconds since the epoch, None for never."""

    name: str
    file_name: str
    size_bytes: int
    media_type: str
    sha256: str
    expires_at: int | None = None
    metadata: Mapping[str, object] = msgspec.field(default_factory=dict)


class RemoteResult(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one task, as the gateway shows it."""

    id: str
    state: str
    task: str = ""
    progress: RemoteProgress | None = None
    failure: RemoteFailure | None = None
    artifacts: tuple[RemoteArtifact, ...] = ()
    created_at: float | None = None
    ended_at: float | None = None
    retry_of: str | None = None

    @property
    def ended(self) -> bool:
        """Whether the state is final."""
        return self.state in _ENDED

    def artifact(self, name: str) -> RemoteArtifact | None:
        """Return the output of this name, or None."""
        return next((one for one in self.artifacts if one.name == name), None)


class RemoteEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One change of the caller's Results.

    Args:
        kind: "snapshot" (first, and after changes were missed), "result", "change" (progress only), "removed".
        id: the Result's id; "" for a snapshot.
        results: the Results of a snapshot, or the one that has changed.
        progress: the progress of a "change".
        position: pass it to `GatewayClient.events(after=...)` to go on from here; "" if it cannot be resumed.
    """

    kind: str
    id: str = ""
    results: tuple[RemoteResult, ...] = ()
    progress: RemoteProgress | None = None
    position: str = ""


class PartToSend(msgspec.Struct, frozen=True):
    """The URL of one part of an upload, its exact size, and headers that must be sent unchanged."""

    number: int
    size_bytes: int
    url: str
    headers: Mapping[str, str]


class PartsToSend(msgspec.Struct, frozen=True):
    """The parts of an upload: the size of all but the last, their number, and the URLs of the next ones to send."""

    part_size_bytes: int
    count: int
    urls: tuple[PartToSend, ...]


class UploadTicket(msgspec.Struct, frozen=True, kw_only=True):
    """An upload that has begun: where its bytes go. `ticket` is signed, and resumes it after a loss of Redis."""

    id: str
    state: str
    method: str
    url: str | None = None
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    parts: PartsToSend | None = None
    ticket: str = ""
