"""Views: what the gateway says of a Result. Never a key, an entity tag, a nonce or a traceback."""

import functools
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import msgspec
from pydantic import BaseModel

from resultstore.blobs.disposition import may_be_inline
from resultstore.model.artifact import Artifact, Scalar
from resultstore.model.result import Result
from resultstore.uploads.ticket import OPEN_STATES, input_of, is_refused, upload_of

# What every answer says to caches, to browsers that guess types, and to the pages that its links lead to.
NO_STORE: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

# What a browser may show in a page's place: nothing of it runs. HTML, SVG and PDF are never among them.
_HINTS: Final[Mapping[str, str]] = {
    "UploadRejected": "Send another file: whole, of the declared type, and within what its task takes.",
    "BadInput": "Look at the file: it is damaged, or larger than the task takes. Then send another.",
    "WrongType": "Send a file of a type that the task takes.",
    "TooLarge": "Send a smaller file.",
    "ArtifactExpired": "Its input was kept for a while and is gone: send it again.",
    "TimeLimitExceeded": "It took longer than a task may: try a smaller input.",
    "SoftTimeLimitExceeded": "It took longer than a task may: try a smaller input.",
    "WorkerLostError": "Its worker died, perhaps for want of memory: try again.",
    "CommitUnknown": "Whether it has succeeded is not known yet: look again in a minute.",
    "BlobStoreUnavailable": "The object store was away: try again.",
    "BlobStoreFull": "The object store is full: tell whoever keeps it.",
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
    hint: str


class ArtifactView(BaseModel):
    """One large output; `link` is the path on this gateway's host that leads to its bytes."""

    name: str
    file_name: str
    size_bytes: int
    media_type: str
    sha256: str
    expires_at: int | None
    metadata: dict[str, Scalar]
    link: str
    previewable: bool


class FileView(BaseModel):
    """The file that was, or is being, uploaded for it, as its sender described it."""

    name: str
    size_bytes: int
    media_type: str


class ResultView(BaseModel):
    """The state of one piece of work; times are seconds since the epoch."""

    id: str
    state: str
    task: str
    progress: ProgressView | None
    failure: FailureView | None
    artifacts: list[ArtifactView]
    input: ArtifactView | None
    upload: FileView | None
    retries: int
    worker: str
    created_at: float | None
    started_at: float | None
    ended_at: float | None
    changed_at: float | None
    expires_at: int | None
    queue_time_s: float | None
    run_time_s: float | None
    retry_of: str | None
    actions: list[str]


class PageView(BaseModel):
    """Some Results; `next` is the cursor of the page behind, null on the last one."""

    items: list[ResultView]
    next: str | None
    complete: bool


class LinkView(BaseModel):
    """A presigned URL and the moment from which it is refused (epoch seconds)."""

    url: str
    expires_at: int


def result_view(
    result: Result, *, retry_of: str | None = None, prefix: str = "", repeatable: bool = False
) -> ResultView:
    """What whoever may see it sees of it.

    Args:
        result: what is shown.
        retry_of: for who has just started it again.
        prefix: the path below which the gateway is reached.
        repeatable: it can be made again.
    """
    source, upload = input_of(result), upload_of(result)
    return ResultView(
        id=result.id,
        state=str(result.state),
        task=result.task,
        progress=_progress_view(result),
        failure=_failure_view(result),
        artifacts=[artifact_view(one, prefix=prefix) for one in result.artifacts if one is not source],
        input=None if source is None or is_refused(result) else artifact_view(source, prefix=prefix),
        upload=None if upload is None else FileView(**msgspec.structs.asdict(upload)),
        retries=result.retries,
        worker=result.worker,
        created_at=result.created_at,
        started_at=result.started_at,
        ended_at=result.ended_at,
        changed_at=result.changed_at,
        expires_at=result.expires_at,
        queue_time_s=_between(result.created_at, result.started_at),
        run_time_s=_between(result.started_at, result.ended_at),
        retry_of=retry_of,
        actions=_actions(result, repeatable=repeatable),
    )


def result_json(result: Result) -> bytes:
    """The same as JSON, for who is told without having asked."""
    return result_view(result).model_dump_json().encode()


def artifact_view(artifact: Artifact, *, prefix: str = "") -> ArtifactView:
    """An Artifact without where its blob stands."""
    return ArtifactView(
        name=artifact.name,
        file_name=artifact.file_name,
        size_bytes=artifact.size_bytes,
        media_type=artifact.media_type,
        sha256=artifact.sha256,
        expires_at=artifact.expires_at,
        metadata=dict(artifact.metadata),
        link=prefix + artifact_path(artifact.id, artifact.name),
        previewable=not artifact.encoding and may_be_inline(artifact.media_type),
    )


def artifact_path(result_id: str, name: str) -> str:
    """The gateway's path of one Artifact, quoted."""
    return f"/v1/results/{_quoted(result_id)}/artifacts/{_quoted(name)}"


@functools.lru_cache(maxsize=4096)  # the names are few, and one id stands in several links
def _quoted(word: str) -> str:
    return quote(word, safe="")


def _progress_view(result: Result) -> ProgressView | None:
    at = result.progress
    return None if at is None else ProgressView(done=at.done, total=at.total, percent=at.percent, note=at.note)


def _failure_view(result: Result) -> FailureView | None:
    why = result.failure
    return None if why is None else FailureView(type=why.type, message=why.message, hint=_HINTS.get(why.type, ""))


def _actions(result: Result, *, repeatable: bool) -> list[str]:
    if result.terminal:
        return ["retry", "delete"] if repeatable else ["delete"]
    # No worker knows of an upload that is still open: DELETE of the upload ends it.
    return [] if result.state in OPEN_STATES else ["cancel"]


def _between(began: float | None, ended: float | None) -> float | None:
    """Seconds, never below 0: the two clocks may be of two machines."""
    return None if began is None or ended is None else max(0.0, ended - began)
