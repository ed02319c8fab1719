"""resultstore: object-storage-backed results and artifacts for Python task queues."""

from importlib import import_module
from typing import TYPE_CHECKING

from resultstore.blobs.blobstore import SignedUrl
from resultstore.capture.adapters import Adapter, FileAdapter
from resultstore.capture.library_adapters import LIBRARY_ADAPTERS
from resultstore.capture.outputs import Output
from resultstore.connect import connect
from resultstore.model.artifact import Artifact
from resultstore.model.errors import (
    AddressRefused,
    ArtifactExpired,
    ArtifactMissing,
    BadInput,
    BadReference,
    BadSetting,
    BlobMissing,
    BlobStoreFull,
    BlobStoreUnavailable,
    BlobUnreadable,
    BrokerUnavailable,
    ChecksumMismatch,
    CommitUnknown,
    Damaged,
    IndexUnavailable,
    LayoutUnreadable,
    Misconfigured,
    NotSupported,
    NotThere,
    NotYours,
    RecordUnreadable,
    Refused,
    ResultDeleted,
    ResultMissing,
    ResultStoreError,
    SealUnreadable,
    ShareEnded,
    ShareMissing,
    TaskMissing,
    TooLarge,
    Unavailable,
    UploadIncomplete,
    UploadRejected,
    WrongType,
)
from resultstore.model.result import Failure, Progress, Result, State
from resultstore.settings import Settings
from resultstore.store import Store
from resultstore.store.new_result import NewResult
from resultstore.store.ranges import RangeReader
from resultstore.store.writer import Writer

if TYPE_CHECKING:
    from resultstore.aio import AsyncStore
    from resultstore.dispatch.offers import Offer, Offers, Options

__all__ = [
    "LIBRARY_ADAPTERS",
    "Adapter",
    "AddressRefused",
    "Artifact",
    "ArtifactExpired",
    "ArtifactMissing",
    "AsyncStore",
    "BadInput",
    "BadReference",
    "BadSetting",
    "BlobMissing",
    "BlobStoreFull",
    "BlobStoreUnavailable",
    "BlobUnreadable",
    "BrokerUnavailable",
    "ChecksumMismatch",
    "CommitUnknown",
    "Damaged",
    "Failure",
    "FileAdapter",
    "IndexUnavailable",
    "LayoutUnreadable",
    "Misconfigured",
    "NewResult",
    "NotSupported",
    "NotThere",
    "NotYours",
    "Offer",
    "Offers",
    "Options",
    "Output",
    "Progress",
    "RangeReader",
    "RecordUnreadable",
    "Refused",
    "Result",
    "ResultDeleted",
    "ResultMissing",
    "ResultStoreError",
    "SealUnreadable",
    "Settings",
    "ShareEnded",
    "ShareMissing",
    "SignedUrl",
    "State",
    "Store",
    "TaskMissing",
    "TooLarge",
    "Unavailable",
    "UploadIncomplete",
    "UploadRejected",
    "Writer",
    "WrongType",
    "connect",
]


# What describes tasks to a gateway is made with pydantic, whose 10 MiB a worker's process need not carry; and asyncio
# is for programs with an event loop.
_LATER = {"AsyncStore": "resultstore.aio"} | dict.fromkeys(
    ("Offer", "Offers", "Options"), "resultstore.dispatch.offers"
)


def __getattr__(name: str) -> object:
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
