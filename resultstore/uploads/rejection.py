"""Rejection: checks the declared sha256 of an upload, and deletes an upload that its task cannot use."""

from typing import Final

from resultstore.model import layout
from resultstore.model.errors import BadInput, ResultStoreError, UploadRejected
from resultstore.model.result import text_of
from resultstore.store import Store
from resultstore.store.attempt import Attempt
from resultstore.telemetry.logs import Log
from resultstore.uploads.late_bytes import LateByteTracker

_log = Log(__name__)

DECLARED_SHA256: Final = "declared_sha256"


def check_digest(attempt: Attempt) -> None:
    """Raise BadInput if an adopted upload does not have the declared sha256.

    For one PUT the store has checked it already; a multipart upload has no such header.
    """
    for artifact in attempt.artifacts:
        declared = artifact.metadata.get(DECLARED_SHA256, artifact.sha256)
        if declared != artifact.sha256:
            raise BadInput(f"{artifact.file_name!r} has the sha256 {artifact.sha256}, not {declared}: send it again")


def delete_rejected(store: Store, attempt: Attempt, reason: BadInput) -> BadInput | UploadRejected:
    """Delete the upload that `attempt` adopted, and return the UploadRejected to raise; without one, return `reason`.

    After a crash before the deletion the task runs again and repeats it. If the store is unavailable, the upload stays
    until its retention class expires.
    """
    keys = [one.key for one in attempt.artifacts if one.key.startswith(tuple(layout.upload_prefixes(attempt.id)))]
    if not keys or store.blobs is None:
        return reason
    try:
        LateByteTracker(store).track_result(attempt.id)
        store.blobs.delete(keys)
        store.index.keys.drop(layout.order_key(attempt.id))  # without its input the task cannot be repeated
    except ResultStoreError as error:
        _log.warning("upload_not_discarded", id=attempt.id, error=str(error))
    return UploadRejected(text_of(reason))
