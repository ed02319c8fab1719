"""Rejecting: what a worker finds wrong with an upload ends it: its bytes are deleted, and its Result says why."""

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
    """Raise BadInput where an adopted upload is not what its sender said that it would send.

    Of an upload in one PUT the store has checked it already; parts have no such header.
    """
    for artifact in attempt.artifacts:
        declared = artifact.metadata.get(DECLARED_SHA256, artifact.sha256)
        if declared != artifact.sha256:
            raise BadInput(f"{artifact.file_name!r} has the sha256 {artifact.sha256}, not {declared}: send it again")


def delete_rejected(store: Store, attempt: Attempt, reason: BadInput) -> BadInput | UploadRejected:
    """What to raise when a task cannot use its input: UploadRejected, with the upload deleted, if it has adopted one.

    A crash before the deletion leaves a task that runs again and comes here again. Where the store is away the
    upload stays until its class has expired.
    """
    keys = [one.key for one in attempt.artifacts if one.key.startswith(tuple(layout.upload_prefixes(attempt.id)))]
    if not keys or store.blobs is None:
        return reason
    try:
        LateByteTracker(store).track_result(attempt.id)
        store.blobs.delete(keys)
        store.index.keys.drop(layout.order_key(attempt.id))  # nothing is left to do it again with
    except ResultStoreError as error:
        _log.warning("upload_not_discarded", id=attempt.id, error=str(error))
    return UploadRejected(text_of(reason))
