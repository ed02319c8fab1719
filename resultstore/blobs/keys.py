"""Keys: which strings can be the key of a blob."""

import re

from resultstore.model.errors import BadReference

# The keys that the layout makes, and a few more. 255 bytes is the longest segment of Linux file systems and of MinIO.
# No segment begins with a dot, so no key names `..` or a driver's own files.
_KEY = re.compile(r"[A-Za-z0-9~_-][A-Za-z0-9~_.-]{0,254}(/[A-Za-z0-9~_-][A-Za-z0-9~_.-]{0,254})*\Z")
_MAX_BYTES = 1024  # S3's limit for a whole key


def is_key(text: str) -> bool:
    """Return True if `text` can be a key: not empty or absolute, no segment empty or with a leading dot."""
    return len(text) <= _MAX_BYTES and _KEY.match(text) is not None


def checked_key(key: str) -> str:
    """Return `key`; raise BadReference if it cannot be one."""
    if not is_key(key):
        raise BadReference(f"{key[:100]!r} is not a key of a blob: use the keys that resultstore.model.layout makes")
    return key
