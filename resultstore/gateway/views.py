"""Views: what the gateway says of a Result. Never a key, an entity tag, a nonce or a traceback."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from pydantic import BaseModel

from resultstore.model.artifact import Artifact, Scalar
from resultstore.model.result import Result

# What every answer says to caches, to browsers that guess types, and to the pages that its links lead to.
NO_STORE: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class ProgressView(BaseModel):
    """How far a running task is; `percent` is null while the total is unknown."""

    done: float
    total: float
    percent: float | None
    note: str


class FailureView(BaseModel):
    """Why a Result failed."""

    type: str
    message: str


class ArtifactView(BaseModel):
    """One large output; `link` is the path below this gateway that leads to its bytes."""

    name: str
    file_name: str
    size_bytes: int
    media_type: str
    sha256: str
    expires_at: int | None
    metadata: dict[str, Scalar]
    link: str


class ResultView(BaseModel):
    """The state of one piece of work; times are seconds since the epoch."""

    id: str
    state: str
    task: str
    progress: ProgressView | None
    failure: FailureView | None
    artifacts: list[ArtifactView]
    retries: int
    created_at: float | None
    started_at: float | None
    ended_at: float | None
    changed_at: float | None
    expires_at: int | None


class LinkView(BaseModel):
    """A presigned URL and the moment from which it is refused (epoch seconds)."""

    url: str
    expires_at: int


def result_view(result: Result) -> ResultView:
    """What a stranger who knows the id may see of it."""
    return ResultView(
        id=result.id,
        state=str(result.state),
        task=result.task,
        progress=_progress_view(result),
        failure=_failure_view(result),
        artifacts=[artifact_view(one) for one in result.artifacts],
        retries=result.retries,
        created_at=result.created_at,
        started_at=result.started_at,
        ended_at=result.ended_at,
        changed_at=result.changed_at,
        expires_at=result.expires_at,
    )


def result_json(result: Result) -> bytes:
    """The same as JSON, for who is told without having asked."""
    return result_view(result).model_dump_json().encode()


def artifact_view(artifact: Artifact) -> ArtifactView:
    """An Artifact without where its blob stands."""
    return ArtifactView(
        name=artifact.name,
        file_name=artifact.file_name,
        size_bytes=artifact.size_bytes,
        media_type=artifact.media_type,
        sha256=artifact.sha256,
        expires_at=artifact.expires_at,
        metadata=dict(artifact.metadata),
        link=artifact_path(artifact.id, artifact.name),
    )


def artifact_path(result_id: str, name: str) -> str:
    """The gateway's path of one Artifact, quoted."""
    return f"/v1/results/{quote(result_id, safe='')}/artifacts/{quote(name, safe='')}"


def _progress_view(result: Result) -> ProgressView | None:
    at = result.progress
    return None if at is None else ProgressView(done=at.done, total=at.total, percent=at.percent, note=at.note)


def _failure_view(result: Result) -> FailureView | None:
    why = result.failure
    return None if why is None else FailureView(type=why.type, message=why.message)
