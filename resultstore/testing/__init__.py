"""Contract suites for drivers: functions that a driver's own tests call. They need no pytest."""

from resultstore.testing.promises import ContractBroken, Promise
from resultstore.testing.suites import (
    MULTIPART_PROMISES,
    READING_PROMISES,
    WRITING_PROMISES,
    check_blobs,
    check_multipart,
)

__all__ = [
    "MULTIPART_PROMISES",
    "READING_PROMISES",
    "WRITING_PROMISES",
    "ContractBroken",
    "Promise",
    "check_blobs",
    "check_multipart",
]
