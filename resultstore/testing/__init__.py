"""Contract suites for drivers: functions that a driver's own tests call. They need no pytest."""

from resultstore.testing.promises import ContractBroken, Promise
from resultstore.testing.suites import (
    EVENT_PROMISES,
    LIST_PROMISES,
    MULTIPART_PROMISES,
    READING_PROMISES,
    RECORD_PROMISES,
    WRITING_PROMISES,
    check_blobs,
    check_index,
    check_multipart,
)

__all__ = [
    "EVENT_PROMISES",
    "LIST_PROMISES",
    "MULTIPART_PROMISES",
    "READING_PROMISES",
    "RECORD_PROMISES",
    "WRITING_PROMISES",
    "ContractBroken",
    "Promise",
    "check_blobs",
    "check_index",
    "check_multipart",
]
