"""Views: the JSON form of Results and Artifacts, without keys, entity tags, nonces and tracebacks."""

import functools
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import msgspec
from pydantic import BaseModel

from resultstore.blobs.disposition import may_be_inline
from resultstore.gateway.failures import FailureView, failure_view
from resultstore.model.artifact import Artifact, Scalar
from resultstore.model.result import Result
from resultstore.uploads.ticket import OPEN_STATES, UploadedFile, input_of, is_refused, uploaded_file_of

# Sent with every response: not cached, no guessing of types, no Referer to the pages that links lead to.
NO_STORE: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class ProgressView(BaseModel):
    """The progress of a running task; `percent` is null while the total is unknown."""

    done: float
    total: float
    percent: float | None
    note: str


class ArtifactView(BaseModel):
    """One output file; `link` is the path on this gateway that redirects to its bytes."""

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
    """The uploaded file, as the client declared it."""

    name: str
    size_bytes: int
    media_type: str


class ResultView(BaseModel):
    """The state of one task; times are seconds since the epoch."""

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
    """One page of Results; `next` is the cursor of the following page, null on the last one."""

    items: list[ResultView]
    next: str | None
    complete: bool


class LinkView(BaseModel):
    """A presigned URL and its expiry (epoch seconds)."""

    url: str
    expires_at: int


def result_view(
    result: Result,
    *,
    retry_of: str | None = None,
    prefix: str = "",
    retryable: bool = False,
    source: Artifact | None = None,
) -> ResultView:
    """Return the public view of a Result.

    Args:
        result: the Result.
        retry_of: the id of the Result that this one retries.
        prefix: the gateway's path prefix.
        retryable: the Result can be retried.
        source: the input file, if it belongs to another Result: that of the first try. It is shown as the input of a
            Result that can be retried, because then it is stored.
    """
    adopted, upload = input_of(result), uploaded_file_of(result)
    if upload is None and source is not None:
        upload = UploadedFile(source.file_name, source.size_bytes, source.media_type)
    shown = adopted or (source if retryable and source is not None and source.id != result.id else None)
    return ResultView(
        id=result.id,
        state=str(result.state),
        task=result.task,
        progress=_progress_view(result),
        failure=failure_view(result),
        artifacts=[artifact_view(one, prefix=prefix) for one in result.artifacts if one is not adopted],
        input=None if shown is None or is_refused(result) else artifact_view(shown, prefix=prefix),
        upload=None if upload is None else FileView(**msgspec.structs.asdict(upload)),
        retries=result.retries,
        worker=result.worker,
        created_at=result.created_at,
        started_at=result.started_at,
        ended_at=result.ended_at,
        changed_at=result.changed_at,
        expires_at=result.expires_at,
        queue_time_s=_seconds_between(result.created_at, result.started_at),
        run_time_s=_seconds_between(result.started_at, result.ended_at),
        retry_of=retry_of,
        actions=_actions(result, retryable=retryable),
    )


def result_json(result: Result) -> bytes:
    """Return the public view as JSON, without links below a path prefix and without `retry`."""
    return result_view(result).model_dump_json().encode()


def artifact_view(artifact: Artifact, *, prefix: str = "") -> ArtifactView:
    """Return the public view of an Artifact, without the key of its blob."""
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
    """Return the gateway's path of one Artifact, percent-encoded."""
    return f"/v1/results/{_quoted(result_id)}/artifacts/{_quoted(name)}"


@functools.lru_cache(maxsize=4096)  # there are few names, and an id occurs in several links
def _quoted(text: str) -> str:
    return quote(text, safe="")


def _progress_view(result: Result) -> ProgressView | None:
    at = result.progress
    return None if at is None else ProgressView(done=at.done, total=at.total, percent=at.percent, note=at.note)


def _actions(result: Result, *, retryable: bool) -> list[str]:
    if result.terminal:
        return ["retry", "delete"] if retryable else ["delete"]
    # An open upload has no task to cancel: DELETE of the upload ends it.
    return [] if result.state in OPEN_STATES else ["cancel"]


def _seconds_between(began: float | None, ended: float | None) -> float | None:
    """Return the seconds between two times, at least 0: the clocks of two machines may differ."""
    return None if began is None or ended is None else max(0.0, ended - began)
