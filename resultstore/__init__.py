"""resultstore: object-storage-backed results and artifacts for Python task queues."""

from resultstore.capture import Output
from resultstore.connect import connect
from resultstore.model.artifact import Artifact
from resultstore.model.errors import (
    ArtifactExpired,
    ArtifactMissing,
    BadInput,
    BadReference,
    BlobMissing,
    BlobStoreFull,
    BlobStoreUnavailable,
    BrokerUnavailable,
    ChecksumMismatch,
    CommitUnknown,
    Damaged,
    IndexUnavailable,
    Misconfigured,
    NotThere,
    NotYours,
    RecordUnreadable,
    Refused,
    ResultMissing,
    ResultStoreError,
    SealUnreadable,
    TooLarge,
    Unavailable,
    WrongType,
)
from resultstore.model.result import Progress, Result, State
from resultstore.offers import Offer, Offers, Options
from resultstore.settings import Settings
from resultstore.store import Store

__all__ = [
    "Artifact",
    "ArtifactExpired",
    "ArtifactMissing",
    "BadInput",
    "BadReference",
    "BlobMissing",
    "BlobStoreFull",
    "BlobStoreUnavailable",
    "BrokerUnavailable",
    "ChecksumMismatch",
    "CommitUnknown",
    "Damaged",
    "IndexUnavailable",
    "Misconfigured",
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
    "ResultMissing",
    "ResultStoreError",
    "SealUnreadable",
    "Settings",
    "State",
    "Store",
    "TooLarge",
    "Unavailable",
    "WrongType",
    "connect",
]
