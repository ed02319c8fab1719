"""resultstore: object-storage-backed results and artifacts for Python task queues."""

from importlib import import_module
from typing import TYPE_CHECKING

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
from resultstore.model.result import Progress, Result, State
from resultstore.settings import Settings
from resultstore.store import Store

if TYPE_CHECKING:
    from resultstore.dispatch.offers import Offer, Offers, Options

__all__ = [
    "LIBRARY_ADAPTERS",
    "Adapter",
    "AddressRefused",
    "Artifact",
    "ArtifactExpired",
    "ArtifactMissing",
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
    "FileAdapter",
    "IndexUnavailable",
    "LayoutUnreadable",
    "Misconfigured",
    "NotSupported",
    "NotThere",
    "NotYours",
    "Offer",
    "Offers",
    "Options",
    "Output",
    "Progress",
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
    "State",
    "Store",
    "TaskMissing",
    "TooLarge",
    "Unavailable",
    "UploadIncomplete",
    "UploadRejected",
    "WrongType",
    "connect",
]


def __getattr__(name: str) -> object:
    # What describes tasks to a gateway is made with pydantic, whose 10 MiB a worker's process need not carry.
    if name in {"Offer", "Offers", "Options"}:
        return getattr(import_module("resultstore.dispatch.offers"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
